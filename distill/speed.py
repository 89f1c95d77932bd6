"""How much less time and memory students need than their teacher, measured in turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from ase import Atoms

from m3compress.analysis.timing import Cost, time_in_turn
from m3compress.contract.evaluation import Evaluator, EvaluatorSpec
from m3compress.models.structures.supercell import supercell_of

#: Atoms of the cell on which all are timed, at least.
N_ATOMS: Final = 400
_ROUNDS: Final = 5
#: Seconds after which a slow teacher was timed often enough.
_ENOUGH: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Time of the processor and memory for one evaluation, per atom, on one thread.

    Attributes:
        n_atoms: Of the structure.
        student: In s.
        teacher: In s.
        ratio: Teacher by student, the median of those round by round.
        student_bytes: Peak above what was held before.
        teacher_bytes: The same.
    """

    n_atoms: int
    student: float
    teacher: float
    ratio: float
    student_bytes: float
    teacher_bytes: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def __str__(self) -> str:
        """One clause."""
        return (
            f"{self.ratio:.1f}× faster than its teacher: {1e3 * self.student:.3f} against "
            f"{1e3 * self.teacher:.3f} ms of a processor per atom at {self.n_atoms} atoms; "
            f"{self.student_bytes / 1e3:.0f} against {self.teacher_bytes / 1e3:.0f} kB per atom"
        )


@dataclass(frozen=True, slots=True)
class _OneThread:
    """What :func:`~m3compress.analysis.timing.time_in_turn` opens."""

    name: str
    spec: EvaluatorSpec

    def open(self) -> Evaluator:
        return self.spec.with_threads(1).open()


def compare_speed(
    students: Sequence[EvaluatorSpec], teacher: EvaluatorSpec, phase: Atoms
) -> list[Speed]:
    """Time all on a supercell, in turn; where that takes long, once.

    Args:
        students: Who is compared, one by one, with the teacher.
        teacher: Of all of them.
        phase: A periodic structure that all know.

    Raises:
        M3CompressError: If one of them cannot be opened or run.
    """
    atoms = supercell_of(phase, N_ATOMS)
    named = [_OneThread("a student", student) for student in students]
    costs = time_in_turn(
        [*named, _OneThread("the teacher", teacher)], atoms, _ROUNDS, enough=_ENOUGH
    )
    return [_speed(mine, costs[-1], len(atoms)) for mine in costs[:-1]]


def _speed(mine: Cost, theirs: Cost, n_atoms: int) -> Speed:
    # What takes less than the clock tells is not infinitely fast.
    pairs = zip(mine.cpu_seconds, theirs.cpu_seconds, strict=True)
    return Speed(
        n_atoms=n_atoms,
        student=statistics.median(mine.cpu_seconds) / n_atoms,
        teacher=statistics.median(theirs.cpu_seconds) / n_atoms,
        ratio=statistics.median(theirs / max(mine, 1e-9) for mine, theirs in pairs),
        student_bytes=mine.peak_bytes / n_atoms,
        teacher_bytes=theirs.peak_bytes / n_atoms,
    )
