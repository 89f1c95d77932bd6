"""Virials of atoms that are wrong although their sum, the stress of a cell, is right."""

from __future__ import annotations

from typing import Final

from attacks import edits
from attacks.edits import on
from attacks.row import ATOM_VIRIAL, Attack, row
from attacks.surgery import Surgery


def at_neighbour(file: Surgery) -> None:
    """Every edge gives its virial to the atom that it leads to, not to that which it comes from."""
    product = file.producer(file.producer(file.producer("virial").input[0]).input[0])
    gradient = product.input[1]  # of the energy by edge vectors, (n, K, 3)

    def change(_: str) -> str:
        vectors = file.with_axis("edge_vectors", 3)
        of_edges = file.node("Mul", vectors, file.with_axis(gradient, 2))
        incoming = file.node("Gather", file.reshaped(of_edges, -1, 9), "incoming")
        total = file.node("MatMul", file.with_axis("incoming_mask", 1), incoming)
        return file.reshaped(total, -1, 3, 3)

    file.wrap("virial", change)


ROWS: Final[tuple[Attack, ...]] = (
    row(
        "virial-order",
        "virials of the atoms in reverse order, their sum right",
        ATOM_VIRIAL,
        on("virial", edits.in_reverse),
    ),
    row(
        "virial-at-neighbour",
        "virials of atoms summed over incoming edges in place of their own",
        ATOM_VIRIAL,
        at_neighbour,
    ),
)
"""Right stresses, wrong virials of atoms: a batch of cells, or a heat flux, shows them."""
