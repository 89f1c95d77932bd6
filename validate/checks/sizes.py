"""Larger cells and denser ones: what is right in ten atoms may be wrong in two thousand.

The file runs on repeated cells, up to 2,000 atoms, and on cells of up to 240 neighbours an atom.
What it should say follows from the twin on the cell that was repeated, so that no large cell is
evaluated in PyTorch.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.errors import CapacityError
from m3compress.export.draws import Draws
from m3compress.models.structures.supercell import supercell_of
from m3compress.models.structures.survey import crowded_cell
from m3compress.models.structures.zoo import rattled
from m3compress.validate.checks.agreement import Sides, worst
from m3compress.validate.checks.building import Case, Check, counting, on_structures
from m3compress.validate.checks.exports import limits, twin_in, without_twin
from m3compress.validate.checks.rounding import rounded_subject
from m3compress.validate.checks.selection import Found
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall

#: About so many atoms, other numbers with every seed: what is wrong beyond some number shows at
#: the next of these, and what is wrong between two of them with some seeds.
_LADDER: Final = (50, 130, 350, 850)
_SPREAD: Final = 0.4
_CLOSE: Final = 0.2
_MOST: Final = 2000
_CROWDED: Final = (1, 60, 200)
#: Up to so many atoms float32 is tried on all copies of a cell: each rounds on its own.
_MOST_ROUNDED: Final = 400
#: Neighbours within the cutoff, and to how many atoms the cell is repeated: crystals at rest have
#: 20 to 100. The lesser ones are others with every seed.
_NEIGHBORS: Final = {
    25: (1,),
    40: (1,),
    60: (1,),
    85: (1,),
    120: _CROWDED,
    170: (1,),
    240: _CROWDED,
}
_DRAWN_UP_TO: Final = 100


@dataclass(frozen=True, slots=True)
class Repeated:
    """A cell, and how often.

    Attributes:
        base: Name of the cell, unique in a gate.
        cell: The cell, rattled.
        atoms: The cell repeated.
    """

    base: str
    cell: Atoms
    atoms: Atoms

    @property
    def name(self) -> str:
        """Shown in the report."""
        return f"{self.base}, {len(self.atoms)} atoms"


def _repeat(name: str, cell: Atoms, ladder: tuple[int, ...]) -> tuple[Repeated, ...]:
    cells = (supercell_of(cell, n_atoms) for n_atoms in ladder)
    return tuple(Repeated(name, cell, atoms) for atoms in cells)


def large_cells(context: Context) -> tuple[Repeated, ...]:
    """The first crystal of the gate, to 2,000 atoms."""
    spread = np.random.default_rng(context.seed).uniform(-_SPREAD, _SPREAD, len(_LADDER))
    between = tuple(round(n) for n in np.array(_LADDER) * np.exp(spread))
    return tuple(
        repeated
        for named in context.crystals[:1]
        for repeated in _repeat(
            named.name, rattled(named.atoms, context.seed), (1, *between, _MOST)
        )
    )


def crowded_cells(context: Context) -> tuple[Repeated, ...]:
    """Cells of so many neighbours that no real crystal has them, to 200 atoms."""
    model, rng = context.reference_subject, np.random.default_rng([context.seed, 1])
    found: list[Repeated] = []
    for typical, ladder in _NEIGHBORS.items():
        drawn = round(typical * np.exp(rng.uniform(-_CLOSE, _CLOSE)))
        n = drawn if typical < _DRAWN_UP_TO else typical
        cell = crowded_cell(model.elements, cutoff=model.cutoff, n_neighbors=n, seed=context.seed)
        found += _repeat(f"{n} neighbours", cell, ladder)
    return tuple(found)


def _as_tiled(case: Case[Repeated]) -> Found | None:
    """The worst of all quantities against the tiled twin; None where a file has no room for it."""
    entry, context = case.entry, case.context
    times, twin = len(entry.atoms) // len(entry.cell), twin_in(context)
    cell = recall(context, twin, ("cell", entry.base), lambda: twin.evaluate(entry.cell))

    def rounded(cell: Atoms) -> Evaluation:
        subject, n_atoms = rounded_subject(context), len(entry.atoms)
        if n_atoms > _MOST_ROUNDED:
            return subject.evaluate(cell).repeated(times)
        return subject.evaluate(supercell_of(cell, n_atoms))

    def exact(cell: Atoms) -> Evaluation:
        return twin.evaluate(cell).repeated(times)

    try:
        ours = case.subject.evaluate(entry.atoms)
    except CapacityError:
        return None
    return worst(
        Sides(
            atoms=entry.atoms,
            ours=ours,
            expected=cell.repeated(times),
            draws=Draws(entry.cell, rounded, exact),
            limits=limits(),
        )
    )


def _largest(context: Context, measured: Container[str]) -> dict[str, Any]:
    sizes = [len(one.atoms) for one in large_cells(context) if one.name in measured]
    return {"largest_cell": max(sizes, default=0)}


CHECKS: Final[tuple[Check, ...]] = (
    counting(
        on_structures(
            "parity.large-cells",
            "a crystal repeated up to 2,000 atoms against the tiled result of the same model",
            _as_tiled,
            among=lambda context, _: large_cells(context),
            absent="there is no crystal",
            unless=without_twin,
        ),
        _largest,
    ),
    on_structures(
        "parity.crowded-cells",
        "cells of up to 240 neighbours an atom against the tiled result of the same model",
        _as_tiled,
        among=lambda context, _: crowded_cells(context),
        absent="the file has room for none of them",
        unless=without_twin,
    ),
)
