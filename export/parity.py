"""Does the exported file, run in its engine, still say what the trained model says?

The reference is the PyTorch model in float64: the explicit triplet sum for a factorised file (so
that the factorisation itself is checked), the same removal or pruning otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.manifest import UNNAMED_ENGINE, Parity, ParityRow
from m3compress.errors import CapacityError, ParityError
from m3compress.export.draws import Draw, Draws
from m3compress.models.potential import Potential, evaluate
from m3compress.models.structures.frames import Named
from m3compress.units import MEV_PER_EV


class EngineResult(Protocol):
    """What an engine returns for one structure."""

    @property
    def energy(self) -> float:
        """Total energy in eV."""

    @property
    def energies(self) -> FloatArray:
        """Of every atom in eV, shape (n_atoms,)."""

    @property
    def forces(self) -> FloatArray:
        """In eV/Å, shape (n_atoms, 3)."""

    @property
    def virial(self) -> FloatArray:
        """∂E/∂strain in eV, shape (3, 3)."""

    @property
    def virials(self) -> FloatArray | None:
        """Of every atom in eV, shape (n_atoms, 3, 3); None where they are not known."""


#: Another order of sums is another draw of an error of the same size, and the largest of many such
#: errors is judged.
ROUNDINGS = 4.0
#: An error so many times its limit is none of rounding, whatever another draw would say.
_HOPELESS = 100.0

Quantity = Literal["energy", "atom-energy", "force", "stress", "atom-virial"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What rounding may cost a number: part of it, and something where it is zero.

    Attributes:
        absolute: In the unit of the number.
        relative: Part of the number.
    """

    absolute: float
    relative: float

    def of(self, sizes: npt.ArrayLike) -> FloatArray:
        """What is tolerated of numbers of such absolute values."""
        return self.absolute + self.relative * np.asarray(sizes, dtype=np.float64)

    def limit(self, expected: FloatArray) -> float:
        """What is tolerated of the largest of some numbers, of any shape."""
        return float(self.of(_largest(expected)))


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest differences that count as agreement.

    Attributes:
        energy: Per atom, in eV.
        atom_energy: Of the energy of one atom, in eV.
        force: In eV/Å, of the largest force component of the structure.
        stress: In eV/Å³, of the largest component.
        atom_virial: In eV, of the largest component of the virial of one atom.
    """

    energy: float
    atom_energy: Tolerance
    force: Tolerance
    stress: Tolerance
    atom_virial: Tolerance


#: float32 rounding through a network of this depth; measured headroom is a factor of three or more.
FLOAT32_LIMITS = Limits(
    energy=5e-6,
    atom_energy=Tolerance(2e-5, 1e-6),
    force=Tolerance(5e-5, 1e-5),
    stress=Tolerance(5e-7, 1e-5),
    atom_virial=Tolerance(5e-5, 1e-5),
)
#: float16 has eleven bits: three digits of every hidden feature.
MIXED_LIMITS = Limits(
    energy=5e-3,
    atom_energy=Tolerance(2e-2, 1e-3),
    force=Tolerance(2e-2, 2e-2),
    stress=Tolerance(5e-4, 2e-2),
    atom_virial=Tolerance(2e-2, 2e-2),
)

LIMITS = {"float32": FLOAT32_LIMITS, "mixed": MIXED_LIMITS}


def reference_of(potential: Potential) -> Potential:
    """What an exported potential is compared with, in float64."""
    return potential.with_form(potential.form.reference).to(torch.float64)


def check_parity(
    potential: Potential,
    run: Callable[[Atoms], EngineResult],
    zoo: Iterable[Named],
    limits: Limits,
    *,
    engine: str = UNNAMED_ENGINE,
) -> Parity:
    """Compare an engine with the reference on every structure of a zoo.

    Args:
        potential: What was exported.
        run: Evaluates the exported file on a structure.
        zoo: Structures.
        limits: What counts as agreement.
        engine: What runs it.

    Returns:
        One row per structure, and whether all of them hold. A structure that is larger than the
        file was built for is left out.
    """
    reference = reference_of(potential)
    rounded = reference.to(torch.float32)
    rows = []
    for entry in zoo:
        try:
            got = run(entry.atoms)
        except CapacityError:
            continue
        rows.append(_compare(reference, rounded, entry, got, limits))
    return Parity(
        reference=f"PyTorch, {reference.form}, float64",
        engine=engine,
        rows=tuple(rows),
        passed=bool(rows) and all(row_holds(row) for row in rows),
    )


def row_holds(row: ParityRow) -> bool:
    """Whether one structure agrees; a difference that is not a number does not."""
    return all(error <= limit for error, limit in _judged(row))


def _judged(row: ParityRow) -> list[tuple[float, float]]:
    """Errors and their limits; manifests of earlier versions judge energy and forces alone."""
    pairs = (
        (row.energy_error, row.energy_limit),
        (row.force_error, row.force_limit),
        (row.stress_error, row.stress_limit),
        (row.atom_energy_error, row.atom_energy_limit),
    )
    return [(error, limit) for error, limit in pairs if error is not None and limit is not None]


def _compare(
    reference: Potential, rounded: Potential, entry: Named, got: EngineResult, limits: Limits
) -> ParityRow:
    atoms = entry.atoms

    cell, times = _tile(reference, entry)

    expected = evaluate(reference, cell).repeated(times)
    draws = Draws(
        cell,
        lambda like: evaluate(rounded, like).repeated(times),
        lambda like: evaluate(reference, like).repeated(times),
    )
    found = differences(atoms, got, expected, limits, draws)
    stress = found.get("stress")
    return ParityRow(
        structure=entry.name,
        n_atoms=len(atoms),
        energy_error=found["energy"].error,
        energy_limit=found["energy"].limit,
        force_error=found["force"].error,
        force_limit=found["force"].limit,
        stress_error=stress.error if stress else None,
        stress_limit=stress.limit if stress else None,
        atom_energy_error=found["atom-energy"].error,
        atom_energy_limit=found["atom-energy"].limit,
    )


def _tile(reference: Potential, entry: Named) -> tuple[Atoms, int]:
    """The cell that a structure repeats, and how often: what it says decides what the whole does.

    Two thousand atoms take gigabytes in float64. Forms for studies, which choose triplets by
    their numbers, see every copy of the cell in another way.
    """
    if entry.cell is None or reference.form.row.study_only:
        return entry.atoms, 1
    return entry.cell, len(entry.atoms) // len(entry.cell)


@dataclass(frozen=True, slots=True)
class Difference:
    """Largest error of one output on one structure.

    Attributes:
        error: In eV, eV/Å or eV/Å³; of the energy per atom.
        limit: What counts as agreement.
    """

    error: float
    limit: float


def differences(
    atoms: Atoms,
    got: EngineResult,
    expected: Evaluation,
    limits: Limits,
    draws: Iterable[Draw],
) -> dict[Quantity, Difference]:
    """How far an engine is from what it should say of a structure, output by output.

    Args:
        atoms: The structure; one without a volume has no stress.
        got: What the engine says.
        expected: What the reference says.
        limits: What counts as agreement.
        draws: What float32 costs the reference here, of which the most counts; gone through for
            every output, as far as its verdict depends on it.
    """

    def judge(tolerance: Tolerance, of: Callable[[EngineResult], FloatArray]) -> Difference:
        error, base = _largest(of(got) - of(expected)), tolerance.limit(of(expected))
        return Difference(error, _limit(error, base, of, draws))

    found: dict[Quantity, Difference] = {
        "atom-energy": judge(limits.atom_energy, lambda result: result.energies),
        "force": judge(limits.force, lambda result: result.forces),
    }
    if atoms.pbc.all():
        volume = atoms.get_volume()
        found["stress"] = judge(limits.stress, lambda result: result.virial / volume)
    if got.virials is not None and expected.virials is not None:
        found["atom-virial"] = judge(limits.atom_virial, _virials)
    energy = abs(got.energy - expected.energy) / len(atoms)
    # Where all atoms are alike, rounding adds up instead of averaging out.
    limit = _limit(energy, limits.energy, lambda result: result.energies, draws)
    return {"energy": Difference(energy, limit), **found}


def _limit(
    error: float,
    base: float,
    of: Callable[[EngineResult], FloatArray],
    draws: Iterable[Draw],
) -> float:
    """Limit of an error of what ``of`` picks.

    Some models lose more digits in float32 than others, most of all where atoms overlap: there it
    is :data:`ROUNDINGS` times what float32 costs the model in PyTorch.

    Args:
        error: The largest difference.
        base: What is tolerated of every model.
        of: Picks a number, or some, of any shape.
        draws: What float32 costs the model here.
    """
    limit = base
    if error <= base:
        return base
    for draw in draws:
        limit = max(limit, ROUNDINGS * _largest(of(draw.rounded) - of(draw.exact)))
        if error <= limit or error > _HOPELESS * limit:
            break
    return limit


def _virials(result: EngineResult) -> FloatArray:
    """Virials of the atoms of a result that has them."""
    return np.asarray(result.virials)


def _largest(differences: FloatArray) -> float:
    return float(np.abs(differences).max(initial=0.0))


def require(parity: Parity) -> None:
    """Refuse a file that disagrees with its reference.

    Raises:
        ParityError: Naming the worst structure and what limit it would have needed.
    """
    if parity.passed:
        return
    if not parity.rows:
        raise ParityError("the parity check ran on no structure")
    worst = max(parity.rows, key=_severity)
    raise ParityError(
        f"the exported file disagrees with {parity.reference} on {worst.structure} "
        f"({worst.n_atoms} atoms): energy off by {worst.energy_error * MEV_PER_EV:.3g} meV/atom "
        f"(limit {worst.energy_limit * MEV_PER_EV:.3g}), forces by {worst.force_error:.3g} eV/Å "
        f"(limit {worst.force_limit:.3g}){_rest(worst)}",
        hint="nothing was written; report the model and what `m3compress doctor` prints",
    )


def _severity(row: ParityRow) -> float:
    """The worst error over its limit."""
    ratios = [np.nan_to_num(error / limit, nan=np.inf) for error, limit in _judged(row)]
    return float(max(ratios))


def _rest(row: ParityRow) -> str:
    """Stress and energies of single atoms, for a message."""
    said = ""
    if row.stress_error is not None and row.stress_limit is not None:
        said += f", stress by {row.stress_error:.3g} eV/Å³ (limit {row.stress_limit:.3g})"
    if row.atom_energy_error is not None and row.atom_energy_limit is not None:
        error, limit = (x * MEV_PER_EV for x in (row.atom_energy_error, row.atom_energy_limit))
        said += f", energies of single atoms by {error:.3g} meV (limit {limit:.3g})"
    return said
