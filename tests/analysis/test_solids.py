"""Static properties of crystals against analytic results and full Hessians."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.geometry import cellpar_to_cell
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from m3compress.analysis.solids import (
    elastic_constants,
    equation_of_state,
    largest_strain,
    phonon_frequencies,
    relax,
    repeats_for_phonons,
)
from m3compress.errors import StructureError


class Changed(EMT):
    """ASE's effective-medium theory, its results broken by ``change(results, atoms)``."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.change(self.results, self.atoms)


@pytest.fixture(scope="module")
def copper():
    return relax(EMT(), bulk("Cu", a=3.7))


def test_strain_is_of_lengths_and_of_angles_and_not_of_turns():
    cell = cellpar_to_cell([5, 6, 7, 90, 100, 90])
    assert largest_strain(cell * 1.02, cell) == pytest.approx(0.02)
    turned = cell @ Rotation.from_euler("xyz", [0.3, 1.0, 2.0]).as_matrix()
    assert largest_strain(turned, cell) == pytest.approx(0.0, abs=1e-12)
    # To first order, a right angle that turns by γ is a stretch by γ/2.
    right, sheared = (cellpar_to_cell([5, 6, 7, 90, angle, 90]) for angle in (90, 90.1))
    assert largest_strain(sheared, right) == pytest.approx(np.radians(0.1) / 2, rel=0.01)


def energy_of_fcc(a):
    atoms = bulk("Cu", a=a)
    atoms.calc = EMT()
    return atoms.get_potential_energy()


def test_relaxation_finds_the_minimum_of_the_energy(copper):
    best = minimize_scalar(energy_of_fcc, bounds=(3.4, 3.8), method="bounded").x
    assert np.cbrt(4 * copper.get_volume()) == pytest.approx(best, rel=1e-3)
    assert copper.calc is None
    assert not copper.constraints


def test_atoms_come_to_rest_too():
    atoms = bulk("CuAu", "cesiumchloride", a=3.1).repeat((2, 1, 1))
    atoms.positions[0, 0] += 0.1
    assert np.abs(EMT().get_forces(relax(EMT(), atoms))).max() < 0.001


def test_a_crystal_that_never_comes_to_rest_is_refused(monkeypatch):
    monkeypatch.setattr("m3compress.analysis.solids._MAX_STEPS", 30)
    rng = np.random.default_rng(0)

    def shake(results, atoms):
        results["forces"] = results["forces"] + rng.normal(0, 1, (len(atoms), 3))

    atoms = bulk("CuAu", "cesiumchloride", a=3.1).repeat((2, 1, 1))
    atoms.rattle(0.05)
    with pytest.raises(StructureError, match=r"did not come below|broke down"):
        relax(Changed(shake), atoms)


def test_a_crystal_that_turns_into_another_is_refused():
    with pytest.raises(StructureError, match=r"another crystal|did not come"):
        relax(EMT(), bulk("Cu", a=4.9))


def test_equation_of_state_agrees_with_the_curvature_of_the_energy(copper):
    found = equation_of_state(EMT(), copper)
    a = np.cbrt(4 * copper.get_volume())
    h = 0.02
    second = (energy_of_fcc(a + h) - 2 * energy_of_fcc(a) + energy_of_fcc(a - h)) / h**2
    # B = V d²E/dV² = (4 / 9 a) d²E/da² for the four atoms of a cubic cell, E per atom.
    assert found.bulk_modulus == pytest.approx(4 * second / (9 * a) / units.GPa, rel=0.02)
    assert found.volume == pytest.approx(copper.get_volume(), rel=2e-3)
    assert found.span == 0.04
    assert found.energies.shape == found.volumes.shape == (7,)


def test_a_kink_narrows_the_range_of_the_equation_of_state(copper):
    def drop(results, atoms):
        results["energy"] -= 0.02 if atoms.get_volume() < 0.97 * copper.get_volume() else 0.0

    found = equation_of_state(Changed(drop), copper)
    assert found.span == 0.02
    expected = equation_of_state(EMT(), copper)
    assert found.bulk_modulus == pytest.approx(expected.bulk_modulus, rel=0.03)


def test_no_equation_of_state_without_a_minimum(copper):
    def flatten(results, atoms):
        results["energy"] = -atoms.get_volume()

    with pytest.raises(StructureError, match="no equation of state"):
        equation_of_state(Changed(flatten), copper)


def test_elastic_constants_are_cubic_and_agree_with_the_bulk_modulus(copper):
    # The cubic cell, so that Voigt components are those of the cubic axes.
    cubic = Atoms("Cu4", cell=np.eye(3) * np.cbrt(4 * copper.get_volume()), pbc=True)
    cubic.set_scaled_positions([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    constants = elastic_constants(EMT(), cubic)
    c11, c12, c44 = constants[0, 0], constants[0, 1], constants[3, 3]
    cubic_form = np.diag([c11 - c12] * 3 + [c44] * 3) + c12 * np.pad(np.ones((3, 3)), (0, 3))
    assert np.abs(constants - cubic_form).max() < 0.01 * c11
    found = equation_of_state(EMT(), copper)
    assert (c11 + 2 * c12) / 3 == pytest.approx(found.bulk_modulus, rel=0.03)


def test_relaxed_atoms_make_a_crystal_softer():
    # The two atoms of a sheared diamond lattice move against each other.
    relaxed = relax(EMT(), bulk("CuAu", "zincblende", a=5.0))
    constants = elastic_constants(EMT(), relaxed)
    h = 0.005
    stresses = []
    for sign in (1, -1):
        clamped = relaxed.copy()
        shear = np.eye(3)
        shear[1, 2] = shear[2, 1] = sign * h / 2
        clamped.set_cell(relaxed.cell.array @ shear, scale_atoms=True)
        stresses.append(EMT().get_stress(clamped))
    clamped_c44 = (stresses[0][3] - stresses[1][3]) / (2 * h) / units.GPa
    assert constants[3, 3] < 0.95 * clamped_c44


def test_phonons_are_the_eigenvalues_of_the_full_hessian():
    relaxed = relax(EMT(), bulk("CuAu", "cesiumchloride", a=3.1))
    repeats = np.array([2, 2, 2])
    found = phonon_frequencies(EMT(), relaxed, repeats)
    supercell = relaxed.repeat(repeats)
    n, h = len(supercell), 0.03
    hessian = np.zeros((3 * n, 3 * n))
    for column in range(3 * n):
        sides = []
        for sign in (1, -1):
            moved = supercell.copy()
            moved.positions.reshape(-1)[column] += sign * h
            sides.append(EMT().get_forces(moved).ravel())
        hessian[:, column] = (sides[1] - sides[0]) / (2 * h)
    masses = np.repeat(supercell.get_masses(), 3)
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.sqrt(np.outer(masses, masses)))
    expected = np.sign(squares) * np.sqrt(np.abs(squares)) / (2 * np.pi) * units.fs * 1e3
    assert found.shape == (8, 6)
    assert np.sort(found.ravel())[3:] == pytest.approx(np.sort(expected)[3:], abs=0.03)


def test_a_crystal_on_a_saddle_has_imaginary_phonons():
    # The bcc form of copper slides into fcc.
    relaxed = relax(EMT(), bulk("Cu", "bcc", a=2.87))
    assert phonon_frequencies(EMT(), relaxed, np.array([4, 4, 4])).min() < -0.3


def test_forces_that_are_no_numbers_have_no_phonons(copper):
    def spoil(results, atoms):
        results["forces"] = np.full((len(atoms), 3), np.nan)

    with pytest.raises((StructureError, ValueError, np.linalg.LinAlgError)):
        phonon_frequencies(Changed(spoil), copper, np.array([2, 2, 2]))


def test_supercells_for_phonons_are_wide_enough(copper):
    repeats = repeats_for_phonons(copper)
    heights = 1 / np.linalg.norm(np.linalg.inv(copper.cell.array), axis=0)
    assert (repeats * heights >= 8.0).all()
    assert ((repeats - 1) * heights < 8.0).all()
