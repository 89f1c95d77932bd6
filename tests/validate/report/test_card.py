"""The model card: front matter that YAML reads, and the hashes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase.io import write

from m3compress.contract.manifest import Manifest, Source, ThreeBodyMethod
from m3compress.models.structures.crystals import build_crystal
from m3compress.validate.report.card import model_card
from m3compress.validate.report.document import Report, StudentInfo
from m3compress.validate.result import CheckResult

yaml = pytest.importorskip("yaml")

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        created_by="m3compress 0.1.0",
        artefact_sha256="d" * 64,
        source=Source(format="matgl", name='my "best": #1', sha256="e" * 64, convention="2024"),
        elements=("O", "Si"),
        element_energies=(0.0, 0.0),
        energy_offset=0.0,
        cutoff=5.0,
        three_body_cutoff=4.0,
        n_blocks=3,
        receptive_field=15.0,
        three_body=ThreeBodyMethod(method="factorized"),
        units={},
        conventions={},
        inputs=(),
        outputs=(),
    )


def front_matter(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_card(make_result: Make, make_report: MakeReport, manifest: Manifest) -> None:
    report = make_report(
        make_result("parity.energy", 5e-06, unit="|1 − ratio|", structure="a|b"),
        make_result("md.rdf-total", 0.25, interval=(0.0, 0.5), structure="quartz"),
        make_result("inv.rotation", 0.1),
        not_checked=("other temperatures",),
        notes=("the reference is old",),
    )
    card = model_card(report, manifest, "f" * 64)
    matter = front_matter(card)
    assert matter["library_name"] == "m3compress"
    (model,) = matter["model-index"]
    assert model["name"] == 'my "best": #1 (factorized)'
    metrics = model["results"][0]["metrics"]
    assert [metric["type"] for metric in metrics] == ["parity.energy", "md.rdf-total"]
    assert [metric["value"] for metric in metrics] == [5e-06, 0.25]
    assert metrics[1]["name"] == "what md.rdf-total measures of quartz (eV)"
    for digest in ("d" * 64, "e" * 64, "f" * 64):
        assert digest in card
    assert "- other temperatures\n- the reference is old\n" in card
    assert "(3 checks)" in card
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)


def test_the_card_of_a_student_says_what_it_is_for(
    make_result: Make, make_report: MakeReport, manifest: Manifest
) -> None:
    student = StudentInfo(
        teacher="big.model",
        teacher_sha256="a" * 64,
        elements=("O", "Si"),
        temperatures=(300.0, 900.0),
        shortest={"O-Si": 1.4},
        densities=(2.42, 2.9),
    )
    report = make_report(make_result("student.force", 0.5), student=student)
    card = model_card(report, manifest, "f" * 64)
    assert "as a student of big.model, in its domain alone" in card
    for line in ("teacher: big.model", "domain: O Si; 300–900 K", "errors: on its", "not for"):
        assert f"- {line}" in card
    (metric,) = front_matter(card)["model-index"][0]["results"][0]["metrics"]
    assert metric["type"] == "student.force"


def test_card_without_headlines(
    make_result: Make, make_report: MakeReport, manifest: Manifest
) -> None:
    matter = front_matter(model_card(make_report(make_result("a.b", 0.5)), manifest, "f" * 64))
    assert matter["model-index"][0]["results"][0]["metrics"] == []


def test_the_python_of_a_card_runs(
    make_report: MakeReport, manifest: Manifest, silica_artefact: Path, tmp_path: Path
) -> None:
    card = model_card(make_report(), manifest, "f" * 64)
    (block,) = re.findall(r"^```python\n(.*?)^```", card, re.M | re.S)
    (name,) = re.findall(r'Calculator\("(.*)"\)', block)
    for suffix in (".onnx", ".json"):
        source = silica_artefact.with_suffix(suffix)
        shutil.copy(source, (tmp_path / name).with_suffix(suffix))
    write(tmp_path / "structure.cif", build_crystal("SiO2-quartz"))
    command = [sys.executable, "-P", "-c", block]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0  # eV
