"""Students: presets, files that are read strictly, and networks that everything else takes."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS
from m3compress.distill.students import PRESETS, Student, find_student, parse_student
from m3compress.distill.training.initial import initial_network
from m3compress.engines.spec import ArtefactSpec
from m3compress.errors import CheckpointError, M3CompressError, StructureError, UnknownNameError
from m3compress.models.cost import cost_of
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance, evaluate

#: The superionic phase, silver on two of its twelve sites.
SILVER_IODIDE = Atoms(
    "I2Ag2",
    scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0, 0.5), (0.75, 0.5, 0)],
    cell=[5.07] * 3,
    pbc=True,
)


def untrained(student: Student, elements=("Si", "O"), cutoff=5.0) -> Potential:
    torch.manual_seed(1)
    return Potential(
        network=M3GNet(student.config(elements, cutoff)).to(torch.float64),
        form=student.three_body,
        element_energies=np.zeros(len(elements)),
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )


def test_the_default_is_the_recipe():
    config = find_student("default").config(["Si", "O", "O"], 5.0)
    assert config.elements == ("O", "Si")
    assert (config.n_blocks, config.node_width, config.edge_width, config.hidden) == (2, 32, 32, ())
    assert config.cutoff == config.three_body_cutoff == 4.0
    assert config.convention.name == "matgl-4.1"
    assert find_student("default").three_body == FACTORIZED


def test_presets_are_listed_from_the_cheapest():
    costs = [cost_of(untrained(student))["flops_per_atom"] for student in PRESETS.values()]
    assert all(2 * a < b for a, b in pairwise(costs))


def test_a_file_changes_what_it_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'preset = "fast"\nelements = ["O", "Si"]\nhidden = [8]\ncutoff = 4\nform = "removed"\n'
    )
    student = find_student(path)
    assert student == Student(
        width=16, elements=("O", "Si"), hidden=(8,), cutoff=4.0, form="removed"
    )
    assert student.three_body == REMOVED
    assert student.config(["O"], 9.0).elements == ("O", "Si")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"widht": 32}, "widht"),
        ({"width": "32"}, "width"),
        ({"width": 32.5}, "width"),
        ({"width": True}, "width"),
        ({"blocks": 0}, "blocks"),
        ({"hidden": 32}, "hidden"),
        ({"hidden": [32, "a"]}, "hidden.1"),
        ({"form": "pruned"}, "form"),
        ({"edge_basis": "gauss"}, "edge_basis"),
        ({"elements": ["Xx"]}, "elements"),
        ({"elements": ["O", "O"]}, "elements"),
        ({"elements": []}, "elements"),
        ({"preset": "huge"}, "preset"),
        ({"blocks": 0, "widht": 1}, "blocks.*widht"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(document, named):
    with pytest.raises(M3CompressError, match=named) as caught:
        parse_student(document, "mine.toml")
    assert caught.value.message.startswith("mine.toml: ")
    assert caught.value.hint


def test_what_is_no_student_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no student 'tiny'.*fast, default, accurate"):
        find_student("tiny")
    (path := tmp_path / "x.toml").write_text("width = ")
    with pytest.raises(M3CompressError, match="not a TOML file"):
        find_student(path)


@pytest.mark.parametrize(
    ("structure", "teacher_cutoff", "cutoff"),
    [
        (bulk("MgO", "rocksalt", a=4.21), 5.0, 4.0),
        (bulk("MgO", "rocksalt", a=4.21), 6.0, 4.8),
        (SILVER_IODIDE, 6.0, 5.4),  # 20 atoms of 32.6 Å³: a sphere of 5.38 Å
        (SILVER_IODIDE, 5.0, 5.0),
    ],
    ids=lambda value: str(getattr(value, "symbols", value)),
)
def test_thin_systems_get_a_longer_cutoff(structure, teacher_cutoff, cutoff):
    elements = sorted({"Cu", *structure.symbols})
    dense = bulk("Cu")
    config = Student().config(elements, teacher_cutoff, [dense, structure, dense])
    assert config.cutoff == config.three_body_cutoff == cutoff
    assert Student(cutoff_ratio=0.8).config(elements, 5.0, [structure]).cutoff == 4.0
    assert Student(cutoff=4.5).config(elements, 5.0, [structure]).cutoff == 4.5


def test_elements_and_cutoffs_must_fit():
    with pytest.raises(StructureError, match="contain Si, and the student is to know O alone"):
        Student(elements=("O",)).config(["Si", "O"], 5.0)
    matgl_allows = Student(cutoff=3.0, three_body_cutoff=4.0).config(["O"], 5.0)
    assert matgl_allows.three_body_cutoff == 4.0
    with pytest.raises(CheckpointError, match="cutoff"):
        Student(cutoff_ratio=2.0).config(["O"], 51.0)


def test_one_layer_is_one_product():
    """``hidden=()`` against its closed form: SiLU(W x + b) ⊙ σ(V x + c)."""
    torch.manual_seed(2)
    update = M3GNet(Student(width=4).config(["O"], 5.0)).blocks[0].edge_update
    x = torch.randn(5, 12)
    (w, b), (v, c) = ((layer[0].weight, layer[0].bias) for layer in (update.value, update.gate))
    value = x @ w.T + b
    expected = value / (1 + torch.exp(-value)) / (1 + torch.exp(-(x @ v.T + c)))
    torch.testing.assert_close(update(x), expected)
    assert sum(p.numel() for p in update.parameters()) == 2 * (prod((12, 4)) + 4)


def test_a_student_is_initialised_evaluated_and_exported(
    frames, references, batches, write_artefact, tmp_path
):
    student = Student(width=4, cutoff=4.0)
    network = initial_network(student.config(("O", "Si"), 5.0), batches, seed=1)
    potential = Potential(
        network=network.eval().requires_grad_(requires_grad=False),
        form=student.three_body,
        element_energies=references,
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )
    atoms = bulk("SiO", "rocksalt", a=4.5)
    atoms.rattle(0.1, seed=1)
    expected = evaluate(potential.to(torch.float64).with_form(TRIPLETS), atoms)
    path = write_artefact(tmp_path / "student.m3c.onnx", potential)
    found = ArtefactSpec(path=str(path)).open().evaluate(atoms)
    assert np.abs(expected.forces).max() > 1e-3
    np.testing.assert_allclose(found.forces, expected.forces, atol=2e-5)
    assert found.energy == pytest.approx(expected.energy, abs=1e-4)
