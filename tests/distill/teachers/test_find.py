"""Models in their right form, exported files, calculators: one way to all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk

from m3compress.api import open_teacher
from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS
from m3compress.distill.teachers.find import right_form
from m3compress.errors import CheckpointError
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import evaluate
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named

QUARTZ = Named("quartz", build_crystal("SiO2-quartz"))


def test_a_model_teaches_in_its_right_form_in_float32(builtin_potential):
    teacher = open_teacher("builtin", [QUARTZ])
    assert (teacher.name, teacher.facts["three_body"]) == ("builtin", "factorized")
    assert (teacher.precision, teacher.has_atom_energies) == ("float32", True)
    found, expected = (
        evaluator.evaluate(QUARTZ.atoms)
        for evaluator in (teacher.open(threads=1), builtin_potential.with_form(TRIPLETS))
    )
    np.testing.assert_allclose(found.forces, expected.forces, atol=2e-5)
    json.dumps(teacher.to_json())


def test_an_exported_file_teaches(silica_artefact, builtin_potential):
    teacher = open_teacher(silica_artefact, [QUARTZ])
    assert (teacher.name, teacher.precision) == ("silica.m3c.onnx", "float32")
    found = teacher.open(threads=1).evaluate(QUARTZ.atoms)
    expected = evaluate(builtin_potential, QUARTZ.atoms)
    np.testing.assert_allclose(found.forces, expected.forces, atol=2e-5)


def test_a_model_in_a_work_folder_is_exported_once(silica_artefact, builtin_potential, tmp_path):
    name = f"teacher-{builtin_potential.provenance.sha256[:12]}-matgl-4.1-factorized"
    for suffix in (".m3c.onnx", ".m3c.json"):
        made = silica_artefact.with_suffix("").with_suffix(suffix)
        (tmp_path / f"{name}{suffix}").write_bytes(made.read_bytes())
    teacher = open_teacher("builtin", [QUARTZ], tmp_path)
    assert teacher.spec.to_json()["kind"] == "artefact"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_calculator_teaches():
    teacher = open_teacher("ase:ase.calculators.emt:EMT", [Named("copper", bulk("Cu"))])
    assert (teacher.precision, teacher.cutoff) == ("unknown", 5.0)
    assert teacher.to_json()["name"] == "ase:ase.calculators.emt:EMT"
    assert teacher.facts["code"].startswith("ase ")


def test_what_is_nothing_is_refused():
    with pytest.raises(CheckpointError, match="does not exist"):
        open_teacher("/nowhere/model.pth", [QUARTZ])


def test_right_triplets_are_factorised_and_misrouted_ones_removed(builtin_potential):
    assert right_form(builtin_potential).form == FACTORIZED
    asleep = builtin_potential.with_convention(CONVENTIONS["matgl-dgl"], {})
    for block in asleep.network.blocks:
        for weight in block.three_body.update.parameters():
            weight.zero_()
    assert right_form(asleep).form == REMOVED


def test_misrouted_triplets_that_matter_stay(builtin_potential):
    awake = builtin_potential.with_convention(CONVENTIONS["matgl-3"], {})
    assert right_form(awake).form == awake.form


def test_a_dgl_era_checkpoint_teaches_without_its_block(shared):
    folder = shared / "models" / "M3GNet-MatPES-r2SCAN-v2025.1-PES"
    teacher = open_teacher(folder, [QUARTZ], convention="matgl-dgl")
    assert teacher.facts["three_body"] == "removed"
    order = [3, 1, 0, 2, 5, 4, 8, 7, 6]
    evaluator = teacher.open()
    atoms = QUARTZ.atoms.copy()
    atoms.rattle(0.1, seed=1)
    listed = evaluator.evaluate(atoms).forces[order]
    np.testing.assert_allclose(evaluator.evaluate(atoms[order]).forces, listed, atol=1e-5)
