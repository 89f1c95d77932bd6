"""The exported file in ONNX Runtime against the PyTorch model in float64, on the zoo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m3compress.api import load_potential
from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS, ThreeBodyForm
from m3compress.engines.codes.ase import Calculator
from m3compress.errors import ParityError
from m3compress.export.parity import FLOAT32_LIMITS, MIXED_LIMITS, check_parity, require
from m3compress.models.potential import Potential
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import build_zoo

MakeCalculator = Callable[..., Calculator]


def zoo_of(potential: Potential) -> tuple[Named, ...]:
    """Up to 200 atoms; ``tests/cli/test_export.py`` has the larger cells, as every export has.

    So has it the form that the built-in model gets.
    """
    config = potential.config
    return build_zoo(
        config.elements,
        cutoff=config.cutoff,
        three_body_cutoff=config.three_body_cutoff,
        large=False,
    )


@pytest.mark.parametrize(
    "form",
    [REMOVED, TRIPLETS, ThreeBodyForm(name="pruned", fraction=0.4, seed=3)],
    ids=str,
)
def test_builtin_in_every_other_form(
    builtin: Potential, make_calculator: MakeCalculator, form: ThreeBodyForm
) -> None:
    potential = builtin.with_form(form)
    parity = check_parity(
        potential, make_calculator(potential).evaluate, zoo_of(potential), FLOAT32_LIMITS
    )
    require(parity)
    assert len(parity.rows) >= 24


def test_tensorflow_original(
    tensorflow_original: Potential, make_calculator: MakeCalculator
) -> None:
    potential = tensorflow_original.with_form(FACTORIZED)
    require(
        check_parity(
            potential, make_calculator(potential).evaluate, zoo_of(potential), FLOAT32_LIMITS
        )
    )


def test_messages_summed_on_the_neighbour(
    dgl_era: Potential, make_calculator: MakeCalculator
) -> None:
    potential = dgl_era.with_form(REMOVED)
    require(
        check_parity(
            potential, make_calculator(potential).evaluate, zoo_of(potential), FLOAT32_LIMITS
        )
    )


def test_an_energy_may_be_off_by_twice_what_float32_costs_the_model(
    shared: Path, make_calculator: MakeCalculator
) -> None:
    # In a cell of one atom all edges are alike, and what they are rounded by adds up.
    folder = shared / "models" / "M3GNet-MatPES-r2SCAN-v2025.1-PES"
    potential = load_potential(str(folder), convention="matgl-dgl").with_form(REMOVED)
    parity = check_parity(
        potential, make_calculator(potential).evaluate, zoo_of(potential), FLOAT32_LIMITS
    )
    require(parity)
    widened = [row for row in parity.rows if row.energy_limit > FLOAT32_LIMITS.energy]
    assert {row.structure for row in widened} <= {"one-atom-cell"}
    assert max(row.energy_limit for row in parity.rows) < 4e-5


def test_mixed_precision(builtin: Potential, make_calculator: MakeCalculator) -> None:
    potential = builtin.with_form(FACTORIZED)
    calculator = make_calculator(potential, precision="mixed")
    assert calculator.manifest.precision == "mixed"
    parity = check_parity(potential, calculator.evaluate, zoo_of(potential), MIXED_LIMITS)
    require(parity)
    # It must really be half precision: float32 would be a thousand times closer.
    assert max(row.force_error for row in parity.rows) > 1e-4


def test_a_wrong_file_is_refused(builtin: Potential, make_calculator: MakeCalculator) -> None:
    removed = make_calculator(builtin.with_form(REMOVED))
    parity = check_parity(
        builtin.with_form(FACTORIZED), removed.evaluate, zoo_of(builtin)[:4], FLOAT32_LIMITS
    )
    assert not parity.passed
    with pytest.raises(ParityError, match="disagrees"):
        require(parity)


def test_two_runs_are_bit_identical_and_threads_agree(
    builtin: Potential, make_calculator: MakeCalculator
) -> None:
    potential = builtin.with_form(FACTORIZED)
    one, two = make_calculator(potential, threads=1), make_calculator(potential, threads=2)
    entry = max(zoo_of(potential), key=lambda entry: len(entry.atoms))
    first, second, other = (c.evaluate(entry.atoms) for c in (two, two, one))
    assert np.array_equal(first.forces, second.forces)
    assert np.array_equal(first.energies, second.energies)
    assert np.array_equal(first.virial, second.virial)
    assert np.abs(first.forces - other.forces).max() <= 1e-6


def test_forces_and_stress_are_derivatives_of_the_energy(
    builtin: Potential, make_calculator: MakeCalculator
) -> None:
    calculator = make_calculator(builtin.with_form(FACTORIZED))
    entry = next(e for e in zoo_of(builtin) if e.name.endswith("rattled"))
    atoms = entry.atoms.copy()
    result = calculator.evaluate(atoms)
    step = 2e-3
    numerical = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[0, 1] += sign * step
        numerical.append(calculator.evaluate(moved).energy)
    slope = -(numerical[0] - numerical[1]) / (2 * step)
    assert slope == pytest.approx(result.forces[0, 1], abs=5e-3)
    strained = []
    for sign in (1, -1):
        moved = atoms.copy()
        deformation = np.eye(3)
        deformation[0, 0] += sign * 1e-3
        moved.set_cell(np.asarray(moved.cell) @ deformation, scale_atoms=True)
        strained.append(calculator.evaluate(moved).energy)
    assert (strained[0] - strained[1]) / 2e-3 == pytest.approx(result.virial[0, 0], abs=0.02)
