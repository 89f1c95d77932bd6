"""The Python in the documents runs, where a user runs it: in a folder with an exported file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ase.data import atomic_masses
from ase.geometry import get_distances

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
#: Documents whose blocks are run; those of the others are parts of something larger.
RUN = ("README.md",)
RUNTIME_ALONE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "onnx", "safetensors", "matgl"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


def python_blocks(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


BLOCKS = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    if document.name in RUN
    for number, block in enumerate(python_blocks(document))
]


@pytest.fixture
def folder(silica_artefact: Path, tmp_path: Path) -> Path:
    for path in (silica_artefact, silica_artefact.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_the_readme_has_python():
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs_without_compile_time_packages(block, folder):
    command = [sys.executable, "-P", "-c", RUNTIME_ALONE + block]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_python(document):
    for block in python_blocks(document):
        compile(block, document.name, "exec")


def test_quartz_of_the_readme_is_quartz():
    (block,) = (block for block in python_blocks(ROOT / "README.md") if "quartz = " in block)
    names: dict[str, object] = {}
    exec(block.partition("quartz.calc")[0], names)
    quartz = names["quartz"]
    assert quartz.get_chemical_formula(empirical=True) == "O2Si"
    masses = atomic_masses[quartz.numbers].sum()
    assert masses * 1.66054 / quartz.get_volume() == pytest.approx(2.65, rel=0.01)  # g/cm³
    silicon, oxygen = (quartz.positions[quartz.symbols == symbol] for symbol in ("Si", "O"))
    _, bonds = get_distances(silicon, oxygen, cell=quartz.cell, pbc=True)
    assert bonds.min() == pytest.approx(1.61, abs=0.02)
    assert ((bonds < 1.8).sum(axis=1) == 4).all()
