"""The table of wrong exported files: each is a file of its own, and is to be seen by checks."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from m3compress.contract.files import sha256_of
from m3compress.engines.artefact import load_artefact
from m3compress.validate.run import CHECKS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def attacks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("attacks.table")


def test_every_row_names_checks_that_exist(attacks):
    known = {check.id for check in CHECKS} | {"error"}
    rows = attacks.ATTACKS
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.seen_by and set(row.seen_by) <= known for row in rows)


def test_every_edit_leaves_a_file_that_is_sound_and_another(attacks, silica_artefact, tmp_path):
    surgery = importlib.import_module("attacks.surgery")
    right, digests = load_artefact(silica_artefact), set()
    for row in attacks.ATTACKS:
        if row.model != "builtin":
            continue
        file = surgery.Surgery(silica_artefact)
        row.edit(file)
        wrong = file.save(tmp_path / "wrong.m3c.onnx")
        manifest = load_artefact(wrong).manifest
        assert manifest.artefact_sha256 == sha256_of(wrong) != right.manifest.artefact_sha256
        digests.add(manifest.artefact_sha256)
    assert len(digests) > 40
