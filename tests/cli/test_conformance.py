"""``m3compress conformance``: table, document and exit codes."""

from __future__ import annotations

import json

import pytest

from m3compress.__main__ import main
from m3compress.engines.conformance import registry
from m3compress.engines.conformance.code import Bare
from m3compress.engines.conformance.registry import CodeRow
from m3compress.engines.evaluator import ArtefactEvaluator


class Halves(ArtefactEvaluator):
    """Says twice as much of every structure."""

    def evaluate(self, atoms):
        found = super().evaluate(atoms)
        return found.repeated(2) if len(atoms) == 1 else found


def open_wrong(path, threads):
    return Bare(Halves(path, threads=threads), "a wrong code")


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["conformance", *map(str, arguments)])
    return leaving.value.code


@pytest.fixture(autouse=True)
def still(monkeypatch):
    """Without the picosecond of dynamics, which tests/engines judge."""
    monkeypatch.setattr("m3compress.engines.conformance.contract._dynamics", lambda *_: [])


def test_a_right_code(silica_artefact, capsys):
    assert run("ase", silica_artefact, "--threads", 1) == 0
    shown = capsys.readouterr()
    assert "silica.m3c.onnx in ONNX Runtime" in shown.out
    assert "unknown element" in shown.out
    assert "BROKEN" not in shown.out
    assert "all clauses hold" in shown.err


def test_a_wrong_code(silica_artefact, capsys, monkeypatch):
    row = CodeRow(name="wrong", opener=f"{__name__}:open_wrong")
    monkeypatch.setattr(registry, "CODES", (row,))
    monkeypatch.setattr(CodeRow, "open", lambda self, path, threads: open_wrong(path, threads))
    assert run("wrong", silica_artefact, "--threads", 1, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["holds"] is False
    broken = {c["name"] for c in document["clauses"] if c["holds"] is False}
    assert {"energy", "forces"} <= broken


def test_a_runtime_is_compared_with_its_model(silica_artefact, capsys):
    assert run("onnxruntime", silica_artefact, "--against", "builtin", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reference"] == "builtin in PyTorch"
    assert len(document["clauses"]) == 17


def test_a_runtime_is_not_compared_with_itself(silica_artefact, capsys):
    assert main(["conformance", "onnxruntime", str(silica_artefact)]) == 2
    assert "--against MODEL" in capsys.readouterr().err


def test_names_that_do_not_exist(silica_artefact, capsys):
    assert run("gulp", silica_artefact) == 2
    assert "choose from onnxruntime, native, tensorrt, ase" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )
