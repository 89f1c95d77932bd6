"""What float32 costs a model, where one structure may say little by luck."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.evaluation import Evaluation
from m3compress.errors import M3CompressError
from m3compress.export.draws import Draw, Draws
from m3compress.export.parity import FLOAT32_LIMITS, differences

SALT = bulk("NaCl", "rocksalt", a=5.6)


def evaluation(stress: float = 0.0, energy: float = -3.0) -> Evaluation:
    """Of a crystal at rest, but for its stress in eV/Å³, with an energy of every atom in eV."""
    virial = stress * SALT.get_volume() * np.eye(3)
    energies = np.full(2, energy)
    return Evaluation(energy=2 * energy, energies=energies, forces=np.zeros((2, 3)), virial=virial)


def test_the_structure_comes_first_and_others_are_next_to_it():
    asked: list[Atoms] = []

    def rounded(atoms: Atoms) -> Evaluation:
        asked.append(atoms)
        return evaluation(1.0)

    draws = Draws(SALT, rounded, lambda atoms: evaluation())
    assert next(iter(draws)).rounded.virial[0, 0] > 0
    assert asked == [SALT]
    assert len(list(draws)) == 5
    for atoms in asked[1:]:
        assert 0 < np.abs(atoms.positions - SALT.positions).max() < 0.01
        assert np.array_equal(atoms.cell, SALT.cell)


@pytest.mark.parametrize(("lucky", "holds"), [(0, True), (4, False)])
def test_a_number_that_was_rounded_well_by_chance_decides_nothing(lucky, holds):
    """A right file of a student was refused: PyTorch was nearly exact in one cell of two atoms."""
    typical, error = 1e-6, 2e-6
    assert error > FLOAT32_LIMITS.stress.absolute
    draws = [Draw(evaluation(1e-8), evaluation()), *[Draw(evaluation(typical), evaluation())] * 4]
    found = differences(SALT, evaluation(error), evaluation(), FLOAT32_LIMITS, draws[: 5 - lucky])
    assert (found["stress"].error <= found["stress"].limit) is holds


def test_no_more_draws_are_taken_than_a_verdict_depends_on():
    asked: list[Atoms] = []

    def rounded(atoms: Atoms) -> Evaluation:
        asked.append(atoms)
        return evaluation(1e-6)

    for error, n_draws in ((1e-7, 0), (3e-6, 1), (1e-5, 5), (1e-2, 1)):
        asked.clear()
        draws = Draws(SALT, rounded, lambda atoms: evaluation())
        for _ in range(2):
            differences(SALT, evaluation(error), evaluation(), FLOAT32_LIMITS, draws)
        assert len(asked) == n_draws, error


def test_a_draw_that_failed_is_asked_for_again():
    def rounded(atoms: Atoms) -> Evaluation:
        raise M3CompressError("no memory")

    draws = Draws(SALT, rounded, lambda atoms: evaluation())
    for _ in range(2):
        with pytest.raises(M3CompressError, match="no memory"):
            differences(SALT, evaluation(1e-5), evaluation(), FLOAT32_LIMITS, draws)


@pytest.mark.parametrize(
    ("error", "rounding", "limit"), [(1e-6, 9.0, 5e-6), (6e-6, 2e-6, 8e-6), (6e-6, 1e-6, 5e-6)]
)
def test_limits_of_energies(error: float, rounding: float, limit: float) -> None:
    draw = Draw(evaluation(energy=-3.0 + rounding), evaluation())
    got = evaluation(energy=-3.0 + error)
    found = differences(SALT, got, evaluation(), FLOAT32_LIMITS, [draw])
    assert found["energy"].error == pytest.approx(error, rel=1e-6)
    assert found["energy"].limit == pytest.approx(limit, rel=1e-6)
