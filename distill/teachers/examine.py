"""Whether a potential can be believed on the structures at hand, and so be a teacher.

A :class:`Candidate` is anything that evaluates and that other processes can open for themselves. It
becomes a :class:`~m3compress.contract.teacher.Teacher` once it was asked about the user's
structures and its answers were whole, finite and the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from m3compress.contract.evaluation import Evaluation, Evaluator, EvaluatorSpec
from m3compress.contract.files import document_sha256
from m3compress.contract.teacher import Teacher, ask
from m3compress.errors import TeacherError
from m3compress.models.structures.frames import Named, require_known, require_periodic

#: Answers about the same structure may differ by so much: float32 sums in another order.
SAME_FORCE: Final = 1e-3  # eV/Å
SAME_ENERGY: Final = 1e-4  # eV/atom
#: Displacement (Å) of the structure that is asked about in between, so that no cache answers.
_ELSEWHERE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that may be a teacher.

    Attributes:
        name: What reports call it.
        spec: Opens it, in any process.
        precision: Of its arithmetic: ``float32``, ``float64``, ``mixed``, or ``unknown``.
        facts: What else a record of it should say: convention, three-body form, package.
    """

    name: str
    spec: EvaluatorSpec
    precision: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hash of what decides its numbers; where its files are does not count.

        Raises:
            M3CompressError: If a file of it cannot be read.
        """
        return document_sha256(self.spec.identity())


def examine(candidate: Candidate, structures: Sequence[Named]) -> Teacher:
    """Ask a candidate about structures, twice, and believe it if its answers are sound.

    Args:
        candidate: Who is asked.
        structures: The user's, periodic in all directions.

    Raises:
        TeacherError: If it cannot be opened, gives no stress, or changes its answers.
        StructureError: If it does not know an element, or an answer is not finite.
        M3CompressError: If a file of it cannot be read.
    """
    if not structures:
        raise TeacherError("a teacher cannot be examined without structures", hint="give some")
    evaluator = candidate.spec.open()
    tells = [_examine_on(candidate.name, evaluator, entry) for entry in structures]
    return Teacher(
        name=candidate.name,
        spec=candidate.spec,
        sha256=candidate.sha256,
        precision=candidate.precision,
        cutoff=evaluator.cutoff,
        has_atom_energies=all(tells),
        facts=candidate.facts,
    )


def _examine_on(name: str, evaluator: Evaluator, entry: Named) -> bool:
    """Whether it tells energies of atoms; raises if what it says of a structure is not sound."""
    atoms = entry.atoms
    require_periodic(atoms, entry.name)
    require_known(atoms, evaluator.elements, entry.name)
    what = f"{name} on {entry.name}"
    first = ask(evaluator, atoms, what)
    elsewhere = atoms.copy()
    elsewhere.rattle(_ELSEWHERE, seed=1)
    ask(evaluator, elsewhere, f"{what}, displaced")
    _require_same(first, ask(evaluator, atoms, what), len(atoms), what)
    return bool(np.isfinite(first.energies).all())


def _require_same(one: Evaluation, other: Evaluation, n_atoms: int, what: str) -> None:
    energy = abs(one.energy - other.energy) / n_atoms
    force = float(np.abs(one.forces - other.forces).max())
    if energy > SAME_ENERGY or force > SAME_FORCE:
        raise TeacherError(
            f"{what} changes its answer: asked twice about the same structure, forces differ by "
            f"{force:.2g} eV/Å and energies by {energy:.2g} eV/atom, expected less than "
            f"{SAME_FORCE:g} and {SAME_ENERGY:g}",
            hint="switch dropout and random numbers off (a network in evaluation mode)",
        )
