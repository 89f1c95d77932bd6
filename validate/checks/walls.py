"""What keeps atoms apart: energies of a student as atoms come too close, against its teacher's.

No trajectory shows them until one does: then a hole in the wall ends it. Two atoms alone, two atoms
of a crystal pulled together, and whole crystals compressed, down to half an ångström.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.analysis.curves import Plot
from m3compress.analysis.frame_errors import deepest_hole
from m3compress.contract.arrays import FloatArray
from m3compress.contract.distances import shortest_distances
from m3compress.contract.evaluation import Evaluator
from m3compress.contract.teacher import ask
from m3compress.errors import StructureError
from m3compress.models.structures.frames import Named
from m3compress.models.structures.walls import Wall, begins, pulled_together
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.selection import Found, largest
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall
from m3compress.validate.setup.subject import Subject

_SHORTEST: Final = 0.5  # Å
_POINTS: Final = 12
#: Compressed to this volume, a crystal is beyond whatever its cell left to be relaxed.
_COMPRESSED: Final = 0.8
#: No atom climbs higher than this (eV): from here on, a wall is a wall.
_HIGH: Final = 10.0
_MOST_CRYSTALS: Final = 2
#: A box of this edge and the cutoffs (Å) holds two atoms alone.
_ROOM: Final = 4.0


@dataclass(frozen=True, slots=True)
class Approach:
    """Atoms that come closer.

    Attributes:
        name: Shown in the report.
        distances: Shortest distances in Å, falling, shape (n_points,).
        frames: As many structures.
        climbers: How many atoms climb the wall.
    """

    name: str
    distances: FloatArray
    frames: tuple[Atoms, ...]
    climbers: int = 1


def approaches(context: Context, subject: Subject) -> Iterator[Approach]:
    """Pairs alone, pairs in crystals, and compressed crystals."""
    elements = context.student.domain.elements if context.student else subject.elements
    pairs = list(combinations_with_replacement(sorted(elements), 2))
    box = max(subject.cutoff, context.standard.cutoff) + _ROOM
    for pair in pairs:
        distances = np.geomspace(begins(pair), _SHORTEST, _POINTS)
        frames = (Atoms(pair, [[0, 0, 0], [0, 0, d]], cell=[box] * 3, pbc=True) for d in distances)
        yield Approach("-".join(pair), distances, tuple(frames))
    for crystal in context.crystals[:_MOST_CRYSTALS]:
        for pair in pairs:
            yield from _pulled(crystal, pair)
        yield from _compressed(crystal, subject.cutoff)


def _pulled(crystal: Named, pair: tuple[str, str]) -> Iterator[Approach]:
    """Two neighbours of a crystal moved towards each other, if it has such neighbours."""
    found = [
        pulled
        for part in np.linspace(1, 0, 2 * _POINTS)
        # The same random number chooses the same two every time.
        if (pulled := pulled_together(crystal.atoms, pair, Wall(), part, np.random.default_rng(0)))
        and pulled.distance <= begins(pair)
    ]
    if found:
        distances = np.array([one.distance for one in found])
        frames = tuple(one.atoms for one in found)
        yield Approach(f"{crystal.name} {'-'.join(pair)}", distances, frames)


def _compressed(crystal: Named, cutoff: float) -> Iterator[Approach]:
    closest = min(shortest_distances([crystal.atoms], cutoff).values(), default=0.0)
    start = _COMPRESSED ** (1 / 3)
    if closest * start <= _SHORTEST:
        return
    scales = np.geomspace(start, _SHORTEST / closest, _POINTS)
    frames = []
    for scale in scales:
        atoms = crystal.atoms.copy()
        atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
        frames.append(atoms)
    yield Approach(
        f"{crystal.name} compressed", closest * scales, tuple(frames), len(crystal.atoms)
    )


def _energies(context: Context, who: Evaluator, approach: Approach) -> FloatArray:
    """In eV, shape (n_points,); of the teacher NaN where it has nothing finite to say."""

    def one(atoms: Atoms) -> float:
        try:
            return ask(who, atoms, approach.name).energy
        except StructureError:
            if who is context.standard:
                return float("nan")
            raise

    return recall(
        context,
        who,
        ("wall", approach.name),
        lambda: np.array([one(atoms) for atoms in approach.frames]),
    )


def _both(case: Case[Approach]) -> tuple[FloatArray, FloatArray]:
    """Energies of student and teacher."""
    ours = _energies(case.context, case.subject, case.entry)
    return ours, _energies(case.context, case.context.standard, case.entry)


def _hole(case: Case[Approach]) -> Found:
    """Depth of the deepest hole in eV that can be reached, beyond that of the teacher."""
    ours, theirs = _both(case)
    height = _HIGH * case.entry.climbers
    own, its = (deepest_hole(row, height) for row in (ours, theirs[np.isfinite(theirs)]))
    plot = Plot(f"wall:{case.entry.name}", case.entry.name, "distance (Å)", "energy (eV)")
    evidence = {"depth": own, "reference_depth": its}
    return Found(max(0.0, own - its), evidence, plot.both(case.entry.distances, ours, theirs))


def _missing(case: Case[Approach]) -> Found | None:
    """How much of the teacher's wall is missing, up to a height that nobody climbs, in %."""
    ours, theirs = _both(case)
    finite = theirs[np.isfinite(theirs)]
    if not len(finite):
        return None
    wanted = min(_HIGH, float(finite.max() - finite[0]))
    if wanted <= 0:
        return None
    height = float(ours.max() - ours[0])
    evidence = {"height": height, "reference_height": float(finite.max() - finite[0])}
    return Found(largest([100 * (1 - height / wanted)]), evidence)


CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "student.wall",
        "holes in the energy of atoms that come too close, beyond those of the teacher",
        _hole,
        among=approaches,
    ),
    on_structures(
        "student.wall-height",
        "how much of the teacher's wall between atoms is missing, up to 10 eV",
        _missing,
        among=approaches,
        absent="the teacher has no wall",
    ),
)
