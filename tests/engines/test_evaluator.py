from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.engines.evaluator import ArtefactEvaluator, report_status
from m3compress.models.potential import Potential


def test_files_and_models_are_evaluators(
    artefact: Path, potential: Potential, structures: dict[str, Atoms]
) -> None:
    evaluators: tuple[Evaluator, ...] = (ArtefactEvaluator(artefact, threads=1), potential)
    atoms = structures["triclinic"]
    ours, theirs = (evaluator.evaluate(atoms) for evaluator in evaluators)
    np.testing.assert_allclose(ours.forces, theirs.forces, atol=1e-4)
    assert len({evaluator.elements for evaluator in evaluators}) == 1
    assert len({evaluator.cutoff for evaluator in evaluators}) == 1


def test_inputs_are_what_is_run(artefact: Path, structures: dict[str, Atoms]) -> None:
    evaluator = ArtefactEvaluator(artefact, threads=1)
    atoms = structures["slab"]
    inputs = evaluator.inputs(atoms)
    assert inputs.edge_vectors.shape == (*inputs.mask.shape, 3)
    np.testing.assert_array_equal(evaluator.run(inputs).forces, evaluator.evaluate(atoms).forces)


def test_status_is_logged(artefact: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="m3compress.engines"):
        ArtefactEvaluator(artefact, threads=1)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "has not passed" in record.getMessage()


def test_study_modes_warn(artefact: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = ArtefactEvaluator(artefact, threads=1).manifest
    method = manifest.three_body.model_copy(update={"method": "pruned", "study_only": True})
    caplog.clear()
    report_status(manifest.model_copy(update={"three_body": method}), "model.m3c.onnx")
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "study only" in record.getMessage()
