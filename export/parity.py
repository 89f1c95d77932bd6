"""Does the exported file, run in its engine, still say what the trained model says?

The reference is the PyTorch model in float64: the explicit triplet sum for a factorised file (so
that the factorisation itself is checked), the same removal or pruning otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.manifest import UNNAMED_ENGINE, Parity, ParityRow
from m3compress.contract.neighbors import FloatArray
from m3compress.errors import CapacityError, ParityError
from m3compress.models.potential import Potential, evaluate
from m3compress.models.structures.frames import Named
from m3compress.units import MEV_PER_EV


class EngineResult(Protocol):
    """What an engine returns for one structure."""

    @property
    def energy(self) -> float:
        """Total energy in eV."""

    @property
    def forces(self) -> FloatArray:
        """In eV/Å, shape (n_atoms, 3)."""

    @property
    def virial(self) -> FloatArray:
        """∂E/∂strain in eV, shape (3, 3)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest differences that count as agreement.

    Attributes:
        energy: Per atom, in eV; see also :meth:`energy_limit`.
        force: Absolute part, in eV/Å.
        relative: Relative part, of the largest force component of the structure.
    """

    energy: float
    force: float
    relative: float

    def force_limit(self, forces: FloatArray) -> float:
        """Limit for a structure with these reference forces, in eV/Å."""
        return self.force + self.relative * float(np.abs(forces).max(initial=0.0))

    def energy_limit(self, error: float, rounding: Callable[[], float]) -> float:
        """Limit for a structure with this error of the energy, in eV/atom.

        Where all atoms are alike, rounding adds up instead of averaging out, and float32 costs some
        models more than ``energy`` in PyTorch already. A file may be off by twice that.

        Args:
            error: |ΔE| per atom in eV.
            rounding: What float32 costs the model in PyTorch, the same; asked only if it matters.
        """
        return self.energy if error <= self.energy else max(self.energy, 2 * rounding())


#: float32 rounding through a network of this depth; measured headroom is a factor of three or more.
FLOAT32_LIMITS = Limits(energy=5e-6, force=5e-5, relative=1e-5)
#: float16 has eleven bits: three digits of every hidden feature.
MIXED_LIMITS = Limits(energy=5e-3, force=2e-2, relative=2e-2)

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
    rows = []
    for entry in zoo:
        try:
            got = run(entry.atoms)
        except CapacityError:
            continue
        rows.append(_compare(reference, entry, got, limits))
    return Parity(
        reference=f"PyTorch, {reference.form}, float64",
        engine=engine,
        rows=tuple(rows),
        passed=bool(rows) and all(row_holds(row) for row in rows),
    )


def row_holds(row: ParityRow) -> bool:
    """Whether one structure agrees; a difference that is not a number does not."""
    return row.energy_error <= row.energy_limit and row.force_error <= row.force_limit


def _compare(reference: Potential, entry: Named, got: EngineResult, limits: Limits) -> ParityRow:
    n_atoms, expected = len(entry.atoms), evaluate(reference, entry.atoms)
    energy_error = abs(got.energy - expected.energy) / n_atoms

    def rounding() -> float:
        rounded: Evaluation = evaluate(reference.to(torch.float32), entry.atoms)
        return abs(rounded.energy - expected.energy) / n_atoms

    has_volume = bool(entry.atoms.pbc.all())
    stress = (
        np.abs(got.virial - expected.virial).max() / entry.atoms.get_volume()
        if has_volume
        else None
    )
    return ParityRow(
        structure=entry.name,
        n_atoms=n_atoms,
        energy_error=energy_error,
        energy_limit=limits.energy_limit(energy_error, rounding),
        force_error=float(np.abs(got.forces - expected.forces).max()),
        force_limit=limits.force_limit(expected.forces),
        stress_error=None if stress is None else float(stress),
    )


def require(parity: Parity) -> None:
    """Refuse a file that disagrees with its reference.

    Raises:
        ParityError: Naming the worst structure and what limit it would have needed.
    """
    if parity.passed:
        return
    if not parity.rows:
        raise ParityError("the parity check ran on no structure")
    worst = max(
        parity.rows,
        key=lambda row: np.nan_to_num(
            max(row.force_error / row.force_limit, row.energy_error / row.energy_limit),
            nan=np.inf,
        ),
    )
    raise ParityError(
        f"the exported file disagrees with {parity.reference} on {worst.structure} "
        f"({worst.n_atoms} atoms): energy off by {worst.energy_error * MEV_PER_EV:.3g} meV/atom "
        f"(limit {worst.energy_limit * MEV_PER_EV:.3g}), forces by {worst.force_error:.3g} eV/Å "
        f"(limit {worst.force_limit:.3g})",
        hint="nothing was written; report the model and what `m3compress doctor` prints",
    )
