"""What is known of the structures that a potential was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from m3compress.contract.distances import merged, shortest_distances
from m3compress.models.potential import Potential
from m3compress.models.structures.labels import read_labelled


def with_domain(potential: Potential, labels: Path) -> Potential:
    """A potential that knows how close atoms come in labelled frames, besides what it knew.

    Args:
        potential: The potential.
        labels: File with frames of its training, or like them.

    Raises:
        StructureError: If the file cannot be used.
    """
    frames = read_labelled(labels, potential.elements)
    found = shortest_distances((named.atoms for named in frames), potential.cutoff)
    known = merged(potential.provenance.shortest, found)
    return replace(potential, provenance=replace(potential.provenance, shortest=known))
