"""Molecules and clusters against the twin: bonds shorter than in crystals, and few neighbours."""

from __future__ import annotations

from typing import Final

from m3compress.models.structures.frames import Named
from m3compress.models.structures.molecules import clusters, molecules
from m3compress.validate.checks.agreement import worst
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.exports import sides_of, without_twin
from m3compress.validate.checks.selection import Found
from m3compress.validate.setup.context import Context


def molecules_and_clusters(context: Context) -> tuple[Named, ...]:
    """Molecules of the elements of the reference, and pieces of the first crystal of the gate."""
    model, seed = context.reference_subject, context.seed
    small = molecules(
        model.elements, cutoff=model.cutoff, three_body_cutoff=model.three_body_cutoff, seed=seed
    )
    pieces = tuple(
        piece
        for crystal in context.crystals[:1]
        for piece in clusters(crystal.atoms, cutoff=model.cutoff, seed=seed)
    )
    return (*small, *pieces)


def _in_boxes(case: Case[Named]) -> Found:
    """Largest error of any output, over its tolerance."""
    return worst(sides_of(case, molecules_and_clusters))


CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "parity.molecules",
        "molecules and clusters, with bonds from 0.8 Å, against the same model in PyTorch",
        _in_boxes,
        among=lambda context, _: molecules_and_clusters(context),
        unless=without_twin,
    ),
)
