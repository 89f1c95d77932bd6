"""The native core against PyTorch in float64, and against its own energies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from native_library import core_system
from random_networks import CASES, reference_of

from m3compress.engines.native.core import Core
from m3compress.errors import M3CompressError
from m3compress.models.potential import Potential, evaluate

NativeModel = Callable[[str], tuple[Path, Potential]]

#: Of a case, so that every structure is seen by some.
SEEN = ("triclinic", "tiny", "slab", "molecule", "isolated", "dimer apart")


def largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max(initial=0.0))


@pytest.mark.parametrize("name", CASES)
def test_float64_equals_pytorch(
    native_model: NativeModel, structures: dict[str, Atoms], name: str
) -> None:
    path, potential = native_model(name)
    cores = {m: Core(path, precision="float64", threads=2, memory=m) for m in ("keep", "recompute")}
    for key in SEEN:
        atoms = structures[key]
        reference = evaluate(reference_of(potential), atoms)
        for memory, core in cores.items():
            result = core.evaluate(core_system(potential, atoms))
            energies = result.energies + potential.element_energies[potential.species(atoms)]
            assert largest(energies - reference.energies) < 1e-9, key
            assert largest(result.forces - reference.forces) < 1e-8, key
            assert largest(result.virial - reference.virial) < 1e-7, key
            assert largest(result.atom_virials.sum(axis=0) - result.virial) < 1e-12, key
            assert core.keeps == (memory == "keep")


@pytest.mark.parametrize("name", CASES)
def test_float32_rounds_and_nothing_else(
    native_model: NativeModel, structures: dict[str, Atoms], name: str
) -> None:
    path, potential = native_model(name)
    atoms = structures["salt"]
    reference = evaluate(reference_of(potential), atoms)
    with Core(path, threads=2) as core:
        result = core.evaluate(core_system(potential, atoms, "float32"))
    assert 0 < largest(result.forces - reference.forces) < 1e-4
    assert largest(result.virial - reference.virial) / len(atoms) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_tables_in_float32_round_and_nothing_else(
    native_model: NativeModel, structures: dict[str, Atoms], name: str
) -> None:
    """Pairs of elements with many edges have tables, those of a small cell have none."""
    path, potential = native_model(name)
    with Core(path, threads=2) as core:
        cell, many = (
            core.evaluate(core_system(potential, atoms, "float32"))
            for atoms in (structures["salt"], structures["salt"].repeat((4, 4, 2)))
        )
    limit = 1e-5 * max(1.0, largest(cell.forces))
    assert 0 < largest(many.forces - np.tile(cell.forces, (32, 1))) < limit
    assert largest(many.energies - np.tile(cell.energies, 32)) < limit
    assert largest(many.virial / 32 - cell.virial) < 100 * limit


@pytest.mark.parametrize("name", ["tf", "matgl-4.1 removed"])
def test_float32_does_not_jump_where_tables_begin_and_end(
    native_model: NativeModel, name: str
) -> None:
    path, potential = native_model(name)
    with Core(path, threads=1) as single, Core(path, precision="float64", threads=1) as exact:
        steps = np.arange(potential.cutoff, 2.0, -0.2)  # tables have whole steps
        for edge in (*steps, potential.config.three_body_cutoff):
            apart = edge + np.linspace(-2e-5, 2e-5, 1000)
            positions = np.tile([[0, 0, 0], [0, 0, 0], [0.3, 1.9, 0.4]], (1000, 1, 1))
            positions[:, 1, 0] = apart
            positions[:, :, 2] += 20.0 * np.arange(1000)[:, None]
            atoms = Atoms("NaClO" * 1000, positions.reshape(-1, 3))
            found = single.evaluate(core_system(potential, atoms, "float32"))
            right = exact.evaluate(core_system(potential, atoms))
            off = (found.energies - right.energies).reshape(1000, 3).sum(axis=1)
            assert np.ptp(off) < 1e-5
            off = (found.forces - right.forces).reshape(1000, 9)
            assert np.ptp(off, axis=0).max() < 1e-5


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_build_that_runs_here(
    native_model: NativeModel, structures: dict[str, Atoms], isa: str
) -> None:
    path, potential = native_model("tf wide, odd widths")
    atoms = structures["triclinic"]
    reference = evaluate(reference_of(potential), atoms)
    for precision, limit in (("float32", 1e-4), ("float64", 1e-8)):
        try:
            core = Core(path, precision=precision, threads=1, isa=isa)
        except M3CompressError as error:
            if "there is no build" not in error.message:
                raise
            pytest.skip(error.message)
        assert core.isa == isa
        result = core.evaluate(core_system(potential, atoms, precision))
        assert largest(result.forces - reference.forces) < limit


@pytest.mark.parametrize("memory", ["keep", "recompute"])
def test_two_runs_give_the_same_bits_and_thread_counts_round(
    native_model: NativeModel, structures: dict[str, Atoms], memory: str
) -> None:
    path, potential = native_model("matgl-4.1")
    system = core_system(potential, structures["salt"].repeat(3), "float32")
    by_threads = []
    for threads in (1, 2, 3):
        with Core(path, threads=threads, memory=memory) as core:
            first, second = core.evaluate(system), core.evaluate(system)
        for field in ("energies", "forces", "virial"):
            assert np.array_equal(getattr(first, field), getattr(second, field))
        by_threads.append(first)
    for other in by_threads[1:]:
        assert largest(other.forces - by_threads[0].forces) < 1e-5


def slope_at_zero(value: Callable[[float], float], step: float = 1e-3) -> float:
    """The derivative, but for a term of fourth order in the step."""
    near, far = (value(k * step) - value(-k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def test_forces_and_all_components_of_the_stress_are_derivatives(
    native_model: NativeModel, structures: dict[str, Atoms]
) -> None:
    path, potential = native_model("mattersim")
    atoms = structures["triclinic"]

    with Core(path, precision="float64", threads=1) as core:

        def energy(moved: Atoms) -> float:
            return float(core.evaluate(core_system(potential, moved)).energies.sum())

        def moved_by(atom: int, axis: int, distance: float) -> Atoms:
            moved = atoms.copy()
            moved.positions[atom, axis] += distance
            return moved

        def strained_by(row: int, column: int, strain: float) -> Atoms:
            moved, deformation = atoms.copy(), np.eye(3)
            deformation[row, column] += strain
            moved.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
            return moved

        result = core.evaluate(core_system(potential, atoms))
        for place in ((0, 0), (2, 1), (3, 2)):
            slope = slope_at_zero(lambda x, at=place: energy(moved_by(*at, x)))
            assert -slope == pytest.approx(result.forces[place], abs=1e-6)
        size = largest(result.virial)
        for place in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            slope = slope_at_zero(lambda x, at=place: energy(strained_by(*at, x)))
            assert slope == pytest.approx(result.virial[place], abs=1e-6 * size)
            assert result.virial[place] == pytest.approx(result.virial[place[::-1]], abs=1e-9)
