"""Static properties of crystals: relaxed cell, equation of state, elastic constants, phonons.

All of them start from a crystal that was relaxed with the same forces, and relax its atoms again
wherever a strain moves them, as an experiment would.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.cells import perpendicular_widths
from m3compress.errors import StructureError
from m3compress.units import VOIGT

#: Of atoms, and of the cell per atom. Five times as much would leave 0.1 % of the lattice constants
#: of soft crystals open (measured).
_MAX_FORCE: Final = 0.001  # eV/Å
#: Under a strain, residual forces would be mistaken for stress.
_MAX_FORCE_STRAINED: Final = 0.002
_MAX_STEPS: Final = 300
#: An optimiser that leaves the neighbourhood of the crystal has found another one, or nothing.
_MAX_STRAIN: Final = 0.25

#: Changes of volume; narrower ones where a wider range meets another phase.
_SPANS: Final = (0.04, 0.02, 0.01)
_N_VOLUMES: Final = 7
#: Largest residual of the fit, as a part of the range of energies, of a curve without a kink.
_SMOOTH: Final = 0.01
_STRAIN: Final = 0.005
_SUPERCELL_WIDTH: Final = 8.0  # Å
#: Small displacements are lost in float32 rounding, large ones are not harmonic (Å).
_DISPLACEMENT: Final = 0.03
#: Relaxed cells have the symmetry of the crystal to about this (Å).
_SYMMETRY: Final = 1e-3


@dataclass(frozen=True, slots=True)
class EquationOfState:
    """Energies of a compressed and stretched crystal, and the Birch-Murnaghan curve.

    Attributes:
        volume: At equilibrium, in Å³ per atom.
        bulk_modulus: In GPa.
        span: Largest relative change of volume.
        residual: Largest residual of the fit over the range of energies.
        volumes: In Å³ per atom, shape (n_volumes,).
        energies: In eV per atom, shape (n_volumes,).
    """

    volume: float
    bulk_modulus: float
    span: float
    residual: float
    volumes: FloatArray
    energies: FloatArray


def relax(calculator: Calculator, atoms: Atoms) -> Atoms:
    """The crystal with cell and atoms at rest, within its symmetry.

    Residual forces are below 0.001 eV/Å, and the virial below 0.001 eV per atom.

    Args:
        calculator: Whose forces.
        atoms: Where to start.

    Raises:
        StructureError: If it does not come to rest, or only far away.
    """
    from ase.filters import FrechetCellFilter

    relaxed = _prepared(calculator, atoms)
    _optimize(FrechetCellFilter(relaxed), _MAX_FORCE)
    strain = largest_strain(relaxed.cell.array, atoms.cell.array)
    if strain > _MAX_STRAIN:
        raise StructureError(
            f"the relaxed cell is strained by {100 * strain:.0f} %: it is another crystal"
        )
    return _plain(relaxed)


def largest_strain(cell: FloatArray, other: FloatArray) -> float:
    """Largest principal strain that makes one cell of another, of lengths as of angles.

    Args:
        cell: Lattice vectors in rows, shape (3, 3), Å.
        other: Those of the cell that is strained, shape (3, 3), Å.
    """
    stretches = np.linalg.svd(np.linalg.solve(other, cell), compute_uv=False)
    return float(np.abs(stretches - 1).max())


def equation_of_state(calculator: Calculator, relaxed: Atoms) -> EquationOfState:
    """Birch-Murnaghan curve through seven volumes, cell shape kept, atoms relaxed.

    The range is ±4 %, or less where the crystal turns into another phase within it, which shows as
    a kink that the curve does not fit.

    Args:
        calculator: Whose energies.
        relaxed: The crystal at rest under the same forces.

    Raises:
        StructureError: If a strained crystal does not come to rest, or no range has a smooth
            minimum.
    """
    failures = []
    for span in _SPANS:
        try:
            found = _fit(calculator, relaxed, span)
        except StructureError as error:
            failures.append(f"±{100 * span:.0f} %: {error.message}")
            continue
        if found.residual < _SMOOTH:
            return found
        failures.append(f"±{100 * span:.0f} %: not smooth, residual {found.residual:.2g}")
    raise StructureError(f"there is no equation of state ({'; '.join(failures)})")


def _fit(calculator: Calculator, relaxed: Atoms, span: float) -> EquationOfState:
    from ase.eos import EquationOfState as Fit
    from ase.eos import birchmurnaghan

    scales = np.linspace(1 - span, 1 + span, _N_VOLUMES)
    volumes, energies = np.zeros((2, _N_VOLUMES))
    for row, scale in enumerate(scales):
        frame = _strained(calculator, relaxed, np.eye(3) * scale ** (1 / 3))
        volumes[row] = frame.get_volume() / len(relaxed)
        energies[row] = frame.get_potential_energy() / len(relaxed)
    fit = Fit(volumes, energies, eos="birchmurnaghan")
    try:
        with warnings.catch_warnings():
            # Whether the fit is any good is for the residuals to say.
            warnings.simplefilter("ignore")
            volume, _, bulk_modulus = fit.fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise StructureError(f"the curve cannot be fitted: {error}") from error
    if not volumes.min() < volume < volumes.max():
        raise StructureError("the energies have no minimum")
    residuals = np.abs(birchmurnaghan(volumes, *fit.eos_parameters) - energies)
    return EquationOfState(
        volume=float(volume),
        bulk_modulus=float(bulk_modulus / units.GPa),
        span=span,
        residual=float(residuals.max() / np.ptp(energies)),
        volumes=volumes,
        energies=energies,
    )


def elastic_constants(calculator: Calculator, relaxed: Atoms) -> FloatArray:
    """C_ij = ∂σ_i/∂ε_j in GPa, Voigt order xx, yy, zz, yz, xz, xy, atoms relaxed, shape (6, 6).

    Central differences at strains of ±0.5 %, engineering strains for the shears, symmetrised.

    Args:
        calculator: Whose stresses.
        relaxed: The crystal at rest under the same forces.

    Raises:
        StructureError: If a strained crystal does not come to rest.
    """
    constants = np.zeros((6, 6))
    for column, (row, other) in enumerate(VOIGT):
        stresses = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[row, other] += sign * _STRAIN / 2
            strain[other, row] += sign * _STRAIN / 2
            stresses.append(_strained(calculator, relaxed, np.eye(3) + strain).get_stress())
        constants[:, column] = (stresses[0] - stresses[1]) / (2 * _STRAIN)
    return np.asarray((constants + constants.T) / 2 / units.GPa)


def repeats_for_phonons(atoms: Atoms) -> IntArray:
    """Repeats of a cell that put its faces at least 8 Å apart, shape (3,)."""
    return np.ceil(_SUPERCELL_WIDTH / perpendicular_widths(atoms)).astype(np.int64)


def phonon_frequencies(calculator: Calculator, relaxed: Atoms, repeats: IntArray) -> FloatArray:
    """Frequencies in THz on the q-points that fit the supercell, shape (n_q, 3 n_atoms).

    Negative numbers stand for imaginary frequencies. Finite displacements of 0.03 Å, reduced by
    symmetry (phonopy); the acoustic sum rule is imposed.

    Args:
        calculator: Whose forces.
        relaxed: The crystal at rest under the same forces.
        repeats: The supercell; the same for all that are to be compared.

    Raises:
        StructureError: If the forces are not numbers.
    """
    from phonopy import Phonopy
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=list(relaxed.symbols),
        scaled_positions=relaxed.get_scaled_positions(),
        cell=relaxed.cell.array,
    )
    matrix = np.diag(repeats)
    phonons = Phonopy(cell, supercell_matrix=matrix, primitive_matrix="P", symprec=_SYMMETRY)
    phonons.generate_displacements(distance=_DISPLACEMENT)
    phonons.forces = [
        _drift_free(calculator, displaced) for displaced in phonons.supercells_with_displacements
    ]
    phonons.produce_force_constants(show_drift=False)
    phonons.symmetrize_force_constants(show_drift=False)
    phonons.run_qpoints(get_commensurate_points(matrix))
    frequencies = np.asarray(phonons.qpoints.frequencies, dtype=float)
    if not np.isfinite(frequencies).all():
        raise StructureError("the phonon frequencies are not all numbers")
    return frequencies


def _drift_free(calculator: Calculator, displaced: Any) -> FloatArray:
    atoms = Atoms(
        symbols=displaced.symbols,
        scaled_positions=displaced.scaled_positions,
        cell=displaced.cell,
        pbc=True,
    )
    forces = calculator.get_forces(atoms)
    return np.asarray(forces - forces.mean(axis=0))


def _strained(calculator: Calculator, relaxed: Atoms, deformation: FloatArray) -> Atoms:
    """The crystal in a deformed cell, its atoms at rest there, with the calculator for now."""
    atoms = _prepared(calculator, relaxed, deformation)
    # Short steps, so that the atoms stay in the valley that they are in.
    _optimize(atoms, _MAX_FORCE_STRAINED, max_step=0.03)
    return atoms


def _optimize(target: Any, max_force: float, *, max_step: float = 0.2) -> None:
    from ase.optimize import LBFGS

    optimizer = LBFGS(target, logfile=None, maxstep=max_step)
    try:
        with warnings.catch_warnings():
            # Steps of the cell that a symmetry constraint finds large are still only steps.
            warnings.simplefilter("ignore")
            converged = optimizer.run(fmax=max_force, steps=_MAX_STEPS)
    except (ValueError, RuntimeError, FloatingPointError, np.linalg.LinAlgError) as error:
        raise StructureError(f"the relaxation broke down: {error}") from error
    if not converged:
        raise StructureError(
            f"the relaxation did not come below {max_force} eV/Å in {_MAX_STEPS} steps"
        )


def _prepared(calculator: Calculator, atoms: Atoms, deformation: FloatArray | None = None) -> Atoms:
    """The crystal to be relaxed within its symmetry.

    Rounding would push a crystal off a saddle point, in float32 sooner than in float64; whether
    it is one is for the phonons to say.
    """
    from ase.constraints import FixSymmetry

    prepared = _plain(atoms)
    if deformation is not None:
        prepared.set_cell(prepared.cell.array @ deformation, scale_atoms=True)
    prepared.set_constraint(FixSymmetry(prepared, symprec=_SYMMETRY))
    prepared.calc = calculator
    return prepared


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
