"""Which structures of the zoo suit a check, and the worst that a check finds on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from m3compress.analysis.curves import Curve
from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.attempt import Failure, attempt
from m3compress.validate.result import VALUES, Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

#: Static checks evaluate a structure dozens of times; more edges would take seconds each.
_MOST_EDGES: Final = 1200
_MOST_ATOMS: Final = 40
#: Standard deviation in Å of the displacements that take the symmetry out of a structure.
_ROUGHNESS: Final = 0.03


def select(
    context: Context, subject: Subject, *, most: int, at_least: int = 2, periodic: int = 0
) -> tuple[Named, ...]:
    """Small structures of all kinds from the zoo, without symmetry that could hide an error.

    Args:
        context: Its zoo is chosen from, evenly, because a zoo is ordered by kind.
        subject: It knows the elements, and its cutoff decides what is small.
        most: How many.
        at_least: Smallest number of atoms.
        periodic: Smallest number of periodic directions.

    Returns:
        Slightly rattled copies; empty if nothing suits.
    """
    suited = [
        (row, entry)
        for row, entry in enumerate(context.zoo)
        if at_least <= len(entry.atoms) <= _MOST_ATOMS
        and entry.atoms.pbc.sum() >= periodic
        and set(entry.atoms.symbols) <= set(subject.elements)
        and _n_edges(entry.atoms, subject.cutoff) <= _MOST_EDGES
    ]
    picked = np.unique(np.linspace(0, len(suited) - 1, min(most, len(suited))).round().astype(int))
    # Seeded by its place in the zoo: all checks see the same copy of a structure.
    return tuple(
        replace(entry, atoms=roughened(entry.atoms, context.seed + row))
        for row, entry in (suited[place] for place in picked)
    )


def roughened(atoms: Atoms, seed: int) -> Atoms:
    """A copy with normal displacements of 0.03 Å and no calculator."""
    copy = atoms.copy()
    rng = np.random.default_rng([seed, len(atoms)])
    copy.positions += rng.normal(0.0, _ROUGHNESS, copy.positions.shape)
    return copy


def _n_edges(atoms: Atoms, cutoff: float) -> int:
    return len(find_edges(atoms, cutoff)[0].centers)


def common_elements(context: Context, subject: Subject, most: int) -> tuple[str, ...]:
    """The elements that stand in most structures of the gate, alphabetical among equals."""
    structures = (*context.zoo, *context.crystals, *context.samples)
    counts = Counter(symbol for entry in structures for symbol in set(entry.atoms.symbols))
    known = [symbol for symbol in counts or subject.elements if symbol in subject.elements]
    return tuple(sorted(known, key=lambda symbol: (-counts[symbol], symbol))[:most])


def bond_length(a: str, b: str) -> float:
    """Sum of the covalent radii in Å."""
    return float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured on one structure.

    Attributes:
        value: The number.
        evidence: What explains it, shown if this structure is the worst.
        curves: Lines for the report, shown for every structure.
    """

    value: float
    evidence: dict[str, Any] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()

    def over(self, tolerance: float) -> Found:
        """The same in units of what is tolerated, with both as evidence."""
        evidence = {"measured": _json_number(self.value), "tolerance": tolerance, **self.evidence}
        return replace(self, value=self.value / tolerance, evidence=evidence)


class HasName(Protocol):
    """What a check measures on: a structure, or several that belong together."""

    @property
    def name(self) -> str:
        """Shown in the report."""


Entry = TypeVar("Entry", bound=HasName)


def worst_of(
    entries: Sequence[Entry], measure: Callable[[Entry, int], Found | None], *, absent: str
) -> Iterator[Measurement]:
    """The worst of what was found, all values as evidence; an error of its own for every failure.

    Args:
        entries: What to measure on.
        measure: Called with each of them and its number; None if it does not apply.
        absent: Why nothing was measured, if it applied to none.
    """
    found: dict[str, Found] = {}
    n_failed = 0
    for number, entry in enumerate(entries):
        result = attempt(measure, entry, number)
        if isinstance(result, Failure):
            n_failed += 1
            yield Measurement(structure=entry.name, error=result.reason)
        elif result is not None:
            found[entry.name] = result
    if found:
        yield _summarize(found)
    elif not n_failed:
        yield Measurement(skipped=absent)


def _summarize(found: dict[str, Found]) -> Measurement:
    # A value that is not a number is worse than any other.
    name = max(found, key=lambda key: np.nan_to_num(found[key].value, nan=np.inf))
    values = {key: _json_number(result.value) for key, result in found.items()}
    return Measurement(
        structure=name,
        value=found[name].value,
        evidence={**found[name].evidence, VALUES: values},
        curves=tuple(curve for result in found.values() for curve in result.curves),
    )


def _json_number(value: float) -> float | str:
    return float(value) if np.isfinite(value) else str(value)


def largest(values: Iterable[float]) -> float:
    """The largest, NaN if one of them is; 0 of none."""
    return float(np.max([0.0, *values]))
