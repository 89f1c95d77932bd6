"""A teacher: a potential that a student copies, and that the gate compares the student with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation, Evaluator, EvaluatorSpec
from m3compress.errors import M3CompressError, StructureError, TeacherError

#: What the import path of an ASE calculator begins with, where a path or a name might stand too.
CALCULATOR_PREFIX: Final = "ase:"
#: Cutoff in Å of calculators, which do not tell: that of M3GNet.
DEFAULT_CUTOFF: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A potential whose answers a student learns.

    Attributes:
        name: What reports call it.
        spec: Opens it, in any process.
        sha256: Hash of what decides its numbers.
        precision: Of its arithmetic, where that is known.
        cutoff: Of its edges in Å.
        has_atom_energies: Whether it tells the energies of single atoms.
        facts: What else a record of it should say.
    """

    name: str
    spec: EvaluatorSpec
    sha256: str
    precision: str
    cutoff: float
    has_atom_energies: bool
    facts: dict[str, Any] = field(default_factory=dict)

    def open(self, threads: int | None = None) -> Evaluator:
        """Load it in this process.

        Args:
            threads: CPU threads of one evaluation; None for what it takes by itself.

        Raises:
            M3CompressError: If it cannot be opened.
        """
        return (self.spec if threads is None else self.spec.with_threads(threads)).open()

    def to_json(self) -> dict[str, Any]:
        """What the record of a student says of it, plain values."""
        return {
            **self.facts,
            "name": self.name,
            "sha256": self.sha256,
            "precision": self.precision,
            "cutoff": self.cutoff,
            "has_atom_energies": self.has_atom_energies,
        }


def ask(evaluator: Evaluator, atoms: Atoms, what: str) -> Evaluation:
    """What a teacher says of a structure, if energy, forces and virial are finite.

    Args:
        evaluator: The teacher.
        atoms: The structure.
        what: What to call the two in messages.

    Raises:
        StructureError: If they are not, or it cannot evaluate the structure.
    """
    found = evaluator.evaluate(atoms)
    sizes = {
        "energy": found.energy,
        "forces": float(np.abs(found.forces).sum()),
        "stress": float(np.abs(found.virial).sum()),
    }
    for name, size in sizes.items():
        if not np.isfinite(size):
            raise StructureError(
                f"{what}: {name} that is not finite",
                hint="look for overlapping atoms, or for elements that the teacher never saw",
            )
    return found


def cannot_open(name: str, why: str, hint: str) -> M3CompressError:
    """The error of a teacher that does not open."""
    return TeacherError(f"the teacher {name} cannot be opened: {why}", hint=hint)
