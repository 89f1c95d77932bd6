"""What rounding may do: a small multiple of what float32 costs the trained model in PyTorch.

A network whose features are large loses more digits than one whose features are small, so no number
of eV/Å is right for all. What is measured has seen nothing of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from m3compress.engines.conformance.operations import Deviation, compare_forces
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Case
from m3compress.validate.checks.selection import Entry, Found, largest
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall, twin_of
from m3compress.validate.setup.subject import Subject

#: How many times what float32 costs the model in PyTorch: another order of sums gives another draw
#: of the same size, an operation compares two of them, and the largest of many counts.
MULTIPLE: Final = 4.0
#: The same for differences of energies, of which there are a handful only: some are small by luck.
_MULTIPLE_OF_FEW: Final = 6.0
_EPSILON: Final = float(np.finfo(np.float32).eps)
#: One unit in the last place of a force of 10 eV/Å, of an energy of 10 eV per atom.
_FORCE_FLOOR: Final = 10 * _EPSILON
_ENERGY_FLOOR: Final = 10 * _EPSILON


def rounded_subject(context: Context) -> Subject:
    """The model in the form of the candidate, in PyTorch and float32."""
    spec = replace(context.twin or context.reference, precision="float32")
    return recall(context, None, ("rounded twin",), spec.open)


def force_tolerance(context: Context, entries: Sequence[Named]) -> float:
    """For changes of forces in eV/Å, as ``compare_forces`` counts them."""
    return MULTIPLE * largest(_rounding(context, e).force for e in entries) + _FORCE_FLOOR


def energy_tolerance(context: Context, entries: Sequence[Named]) -> float:
    """For changes of an energy, in eV per atom."""
    return MULTIPLE * largest(_rounding(context, e).energy for e in entries) + _ENERGY_FLOOR


def _rounding(context: Context, entry: Named) -> Deviation:
    """What rounding costs the model on one structure."""

    def measure() -> Deviation:
        exact = (twin_of(context) or context.reference_subject).evaluate(entry.atoms)
        rounded = rounded_subject(context).evaluate(entry.atoms)
        energy = abs(rounded.energy - exact.energy) / len(entry.atoms)
        return Deviation(compare_forces(exact.forces, rounded.forces), energy)

    return recall(context, None, ("rounding", entry.name), measure)


def same_measure(
    measure: Callable[[Case[Entry]], Found | None], floor: float
) -> Callable[[Context, Sequence[Entry]], float]:
    """A tolerance for a measure that rounding alone makes differ from zero.

    Args:
        measure: What the check measures; here on the model in PyTorch, on the same structures
            with the same random numbers.
        floor: Added to a multiple of the largest value.
    """

    def tolerance(context: Context, entries: Sequence[Entry]) -> float:
        subject = rounded_subject(context)
        found = [measure(Case(context, subject, entry, n)) for n, entry in enumerate(entries)]
        return _MULTIPLE_OF_FEW * largest(it.value for it in found if it is not None) + floor

    return tolerance
