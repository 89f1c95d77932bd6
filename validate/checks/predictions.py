"""What candidate, twin and reference say of the same structures, each evaluated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import rattled
from m3compress.validate.checks.attempt import Failure, attempt
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject

#: Structures that follow from a gate; the function is the name under which they are kept.
Structures = Callable[[Context], tuple[Named, ...]]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Evaluations of one subject by name of the structure.

    Attributes:
        found: What it said.
        errors: Why it said nothing.
    """

    found: Mapping[str, Evaluation]
    errors: Mapping[str, str]

    def of(self, name: str) -> Evaluation:
        """What it said of a structure.

        Raises:
            M3CompressError: Why it said nothing.
        """
        if name in self.errors:
            raise M3CompressError(self.errors[name])
        return self.found[name]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two subjects on the same structures; forces of all atoms in one array.

    Attributes:
        names: Names of the structures.
        n_atoms: Their numbers of atoms, shape (n_structures,).
        energies: Of the candidate in eV/atom, shape (n_structures,).
        expected_energies: The same of the reference.
        owners: Row of the structure of every atom, shape (n_atoms,).
        symbols: Element of every atom, shape (n_atoms,).
        forces: Of the candidate in eV/Å, shape (n_atoms, 3).
        expected_forces: The same of the reference.
        stresses: Of the candidate in eV/Å³, shape (n_periodic, 6).
        expected_stresses: The same of the reference.
        errors: Structures that one of the two could not treat, and why.
    """

    names: tuple[str, ...]
    n_atoms: FloatArray
    energies: FloatArray
    expected_energies: FloatArray
    owners: np.ndarray
    symbols: np.ndarray
    forces: FloatArray
    expected_forces: FloatArray
    stresses: FloatArray
    expected_stresses: FloatArray
    errors: Mapping[str, str]


def structures_of(context: Context) -> tuple[Named, ...]:
    """The zoo, and the cells of molecular dynamics with displaced atoms."""
    moved = tuple(
        replace(named, name=f"{named.name}-moved", atoms=rattled(named.atoms, context.seed + row))
        for row, named in enumerate(context.samples)
    )
    return (*context.zoo, *moved)


def visited(context: Context) -> tuple[Named, ...]:
    """Those of :func:`structures_of` that molecular dynamics might visit.

    Periodic crystals at rest, rattled and strained. Made-up crystals are among them only where no
    real one is known. The extreme ones test the export: what a model says of them is no measure of
    how well it was compressed.
    """
    suited = [
        named
        for named in structures_of(context)
        if named.atoms.pbc.all() and named.kind != "extreme"
    ]
    known = [named for named in suited if named.kind != "made-up"]
    return tuple(known if any(named.kind == "real" for named in known) else suited)


def predictions(
    context: Context, subject: Subject, among: Structures = structures_of
) -> Predictions:
    """What a subject says of some structures of a gate, evaluated when first asked for."""
    return recall(
        context, subject, ("predictions", among), lambda: _predict(subject, among(context))
    )


def compared(context: Context, subject: Subject) -> Compared:
    """Candidate and reference on the structures that molecular dynamics might visit."""
    return recall(context, subject, ("compared",), lambda: _compare(context, subject))


def _predict(subject: Subject, structures: tuple[Named, ...]) -> Predictions:
    found: dict[str, Evaluation] = {}
    errors: dict[str, str] = {}
    for named in structures:
        result = attempt(subject.evaluate, named.atoms)
        if isinstance(result, Failure):
            errors[named.name] = result.reason
        else:
            found[named.name] = result
    return Predictions(found, errors)


def _compare(context: Context, subject: Subject) -> Compared:
    ours, theirs = predictions(context, subject), predictions(context, context.reference_subject)
    chosen = visited(context)
    errors = {
        named.name: f"{who}: {side.errors[named.name]}"
        for who, side in (("reference", theirs), ("candidate", ours))
        for named in chosen
        if named.name in side.errors
    }
    pairs = [
        (named, ours.of(named.name), theirs.of(named.name))
        for named in chosen
        if named.name not in errors
    ]
    sizes = np.array([len(named.atoms) for named, _, _ in pairs], dtype=float)
    return Compared(
        names=tuple(named.name for named, _, _ in pairs),
        n_atoms=sizes,
        energies=np.array([mine.energy for _, mine, _ in pairs]) / sizes,
        expected_energies=np.array([its.energy for _, _, its in pairs]) / sizes,
        owners=np.repeat(np.arange(len(pairs)), sizes.astype(int)),
        symbols=np.array([symbol for named, _, _ in pairs for symbol in named.atoms.symbols]),
        forces=_stacked([mine.forces for _, mine, _ in pairs], 3),
        expected_forces=_stacked([its.forces for _, _, its in pairs], 3),
        stresses=_stacked([_stress(mine, named.atoms) for named, mine, _ in pairs], 6),
        expected_stresses=_stacked([_stress(its, named.atoms) for named, _, its in pairs], 6),
        errors=errors,
    )


def _stress(result: Evaluation, atoms: Atoms) -> FloatArray:
    return result.stress(atoms)[None, :]


def _stacked(parts: list[FloatArray], width: int) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros((0, width))
