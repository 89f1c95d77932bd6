"""How much less time a student needs than its teacher, measured in turn."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.models.structures.supercell import supercell_of

#: Atoms of the cell on which both are timed, at least.
N_ATOMS: Final = 400
#: A structure of this many atoms times seconds per atom is enough for one round (s).
_ENOUGH: Final = 2.0
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Time of the processor for one evaluation, per atom, on one thread.

    Attributes:
        n_atoms: Of the structure.
        student: In s.
        teacher: In s.
        ratio: Teacher by student, the median of those round by round.
    """

    n_atoms: int
    student: float
    teacher: float
    ratio: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """One clause."""
        return (
            f"{self.ratio:.1f}× faster than its teacher: {1e3 * self.student:.3f} against "
            f"{1e3 * self.teacher:.3f} ms of a processor per atom at {self.n_atoms} atoms"
        )


def compare_speed(student: Evaluator, teacher: Evaluator, phase: Atoms) -> Speed:
    """Time both on a supercell, in turn; a slow teacher once.

    Args:
        student: On one thread.
        teacher: On one thread.
        phase: A periodic structure that both know.
    """
    atoms = supercell_of(phase, N_ATOMS)
    student.evaluate(atoms)
    slow = _seconds(teacher, atoms) > _ENOUGH
    mine, theirs = [], []
    for number in range(1 if slow else _ROUNDS):
        atoms.rattle(0.005, seed=number)
        mine.append(_seconds(student, atoms))
        theirs.append(_seconds(teacher, atoms))
    return Speed(
        n_atoms=len(atoms),
        student=statistics.median(mine) / len(atoms),
        teacher=statistics.median(theirs) / len(atoms),
        ratio=statistics.median(b / a for a, b in zip(mine, theirs, strict=True)),
    )


def _seconds(evaluator: Evaluator, atoms: Atoms) -> float:
    began = time.process_time()
    evaluator.evaluate(atoms)
    return max(time.process_time() - began, 1e-9)
