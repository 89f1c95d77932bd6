"""What is chosen from a zoo, and which of several findings is the worst."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii

from m3compress.models.structures.frames import Named
from m3compress.validate.checks.selection import (
    Found,
    bond_length,
    common_elements,
    roughened,
    select,
    worst_of,
)


@pytest.fixture
def context(pair_subject, make_context):
    silicon = bulk("Si", "diamond", a=5.43)
    zoo = (
        Named("atom", Atoms("Si")),
        Named("foreign", bulk("NaCl", "rocksalt", a=5.64)),
        Named("large", silicon.repeat(3)),
        Named("crowded", bulk("Si", "fcc", a=2.2).repeat(3)),
        Named("crystal", silicon),
        Named("dimer", Atoms("SiO", positions=[[0, 0, 0], [0, 0, 1.6]])),
    )
    return make_context(pair_subject.spec, pair_subject.spec, zoo=zoo)


def names(structures):
    return [entry.name for entry in structures]


def test_only_small_known_structures_are_chosen(context, pair_subject):
    assert names(select(context, pair_subject, most=9)) == ["crystal", "dimer"]
    assert names(select(context, pair_subject, most=9, at_least=1)) == ["atom", "crystal", "dimer"]
    assert names(select(context, pair_subject, most=9, periodic=1)) == ["crystal"]


def test_a_choice_is_spread_over_the_zoo(pair_subject, make_context):
    zoo = [Named(str(n), Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2]])) for n in range(10)]
    context = make_context(pair_subject.spec, zoo=zoo)
    assert names(select(context, pair_subject, most=4)) == ["0", "3", "6", "9"]


def test_the_zoo_itself_is_left_alone(context, pair_subject):
    before = context.zoo[4].atoms.positions.copy()
    (chosen,) = select(context, pair_subject, most=9, periodic=3)
    assert np.array_equal(context.zoo[4].atoms.positions, before)
    moved = np.abs(chosen.atoms.positions - before)
    assert 0 < moved.max() < 0.15


def test_roughening_is_the_same_every_time():
    atoms = bulk("Si", "diamond", a=5.43)
    assert np.array_equal(roughened(atoms, 3).positions, roughened(atoms, 3).positions)
    assert not np.array_equal(roughened(atoms, 3).positions, roughened(atoms, 4).positions)


def test_common_elements_come_first(context, pair_subject):
    assert common_elements(context, pair_subject, 5) == ("Si", "O")
    assert common_elements(context, pair_subject, 1) == ("Si",)


def test_bond_lengths_are_sums_of_radii():
    assert bond_length("Si", "O") == pytest.approx(covalent_radii[14] + covalent_radii[8])


def test_not_a_number_is_the_worst():
    entries = [Named(name, Atoms("Si")) for name in ("large", "nan", "small")]
    values = {"large": 5.0, "nan": math.nan, "small": 1.0}
    (found,) = worst_of(entries, lambda entry, _: Found(values[entry.name]), absent="nothing")
    assert found.structure == "nan"
    assert math.isnan(found.value)
    assert found.evidence["values"] == {"large": 5.0, "nan": "nan", "small": 1.0}


def test_evidence_is_json(pair_subject, context):
    entries = [Named("one", Atoms("Si"))]
    (found,) = worst_of(entries, lambda *_: Found(np.float64(1.0)), absent="nothing")
    assert type(found).model_validate_json(found.model_dump_json()) == found
