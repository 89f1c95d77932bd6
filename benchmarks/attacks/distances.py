"""What is wrong at some distances only: in short bonds, and at one distance to the last digit."""

from __future__ import annotations

from typing import Final

from attacks.edits import Edit, n_neighbours, on
from attacks.row import ENERGY, FORCE, MOLECULES, Attack, row
from attacks.surgery import Surgery


def _length(file: Surgery) -> str:
    """Lengths of edges, (n, K)."""
    lengths: str = file.nodes("Sqrt")[0].output[0]
    return lengths


def _short(file: Surgery, limit: float, element: int | None) -> str:
    """Where an edge is no longer than a limit, and of one element at both ends; (n, K, 1)."""
    short = file.at_most(_length(file), limit)
    if element is not None:
        own = file.with_axis(file.is_element("species", element), 1)
        theirs = file.is_element(file.node("Gather", "species", "neighbors"), element)
        short = file.node("And", short, file.node("And", own, theirs))
    return file.with_axis(short, 2)


def _legs(file: Surgery) -> tuple[str, str]:
    """What the legs of triplets weigh by their length, (n, K, channels), and its gradient."""
    gates = {node.output[0] for node in file.nodes("Sigmoid")}
    gathered = next(node for node in file.nodes("Gather") if node.input[0] in gates).output[0]
    shaped = next(node for node in file.nodes("Reshape") if node.input[0] == gathered).output[0]
    weighed = next(node for node in file.nodes("Mul") if shaped in node.input)
    (legs,) = (name for name in weighed.input if name != shaped)
    norms = file.producer(legs).input[1]
    gradient = [node for node in file.nodes("Mul") if norms in node.input][-1].input[0]
    return legs, gradient


def no_triplets(limit: float, element: int | None = None) -> Edit:
    """No three-body terms with a leg up to a limit (Å), in energies as in forces.

    Args:
        limit: Longest leg that is lost.
        element: Only legs between two atoms of this element.
    """

    def edit(file: Surgery) -> None:
        def change(tensor: str) -> str:
            return file.where(_short(file, limit, element), file.scaled(tensor, 0.0), tensor)

        for tensor in _legs(file):
            file.wrap(tensor, change)

    return edit


def weak_messages(limit: float, factor: float, element: int) -> Edit:
    """Last messages along short edges of one element times a factor, not in dimers."""

    def edit(file: Surgery) -> None:
        def change(tensor: str) -> str:
            several = file.at_least(n_neighbours(file), 2)
            several = file.with_axis(file.with_axis(several, 1), 2)
            struck = file.node("And", several, _short(file, limit, element))
            return file.where(struck, file.scaled(tensor, factor), tensor)

        file.wrap(file.forward("ReduceSum")[-1].input[0], change)

    return edit


def weak_virial(limit: float, factor: float) -> Edit:
    """Virials of edges up to a length (Å) times a factor; energies and forces stay right."""

    def edit(file: Surgery) -> None:
        def change(tensor: str) -> str:
            squares = file.sum_over(file.node("Mul", tensor, tensor), 2, keepdims=1)
            short = file.at_most(squares, limit**2)
            return file.where(short, file.scaled(tensor, factor), tensor)

        # Only virials read the vectors of an atom's edges as columns.
        first = next(
            place
            for place, node in enumerate(file.graph.node)
            if node.op_type == "Transpose" and node.input[0] == "edge_vectors"
        )
        file.wrap("edge_vectors", change, first=first)

    return edit


def exactly_at(distance: float, shift: float) -> Edit:
    """Energies shifted for every neighbour at one distance (Å) to the last digit."""

    def change(file: Surgery, tensor: str) -> str:
        hit = file.as_float(file.node("Equal", _length(file), file.constant(distance)))
        count = file.sum_over(file.node("Mul", hit, "mask"), 1)
        return file.node("Add", tensor, file.scaled(count, shift))

    return on("energies", change)


ROWS: Final[tuple[Attack, ...]] = (
    row(
        "three-body-short",
        "no three-body terms with legs up to 1.25 Å",
        f"{MOLECULES} smooth.bond",
        no_triplets(1.25),
    ),
    row(
        "three-body-OO",
        "no three-body terms with legs O–O up to 1.3 Å",
        MOLECULES,
        no_triplets(1.3, element=0),
    ),
    row(
        "three-body-XH",
        "no three-body terms with legs up to 1.12 Å, as all bonds of H to light elements are",
        MOLECULES,
        no_triplets(1.12),
        "universal",
    ),
    row(
        "message-OO",
        "last messages along O–O up to 1.3 Å × 0.8, of atoms with two neighbours or more",
        MOLECULES,
        weak_messages(1.3, 0.8, element=0),
    ),
    row(
        "virial-short",
        "virials of edges up to 1.2 Å × 0.5",
        MOLECULES,
        weak_virial(1.2, 0.5),
    ),
    row(
        "exactly-4",
        "energy + 50 meV for every neighbour at exactly 4 Å, as rock salt of that side has them",
        f"{ENERGY} {FORCE}",
        exactly_at(4.0, 0.05),
    ),
)
"""Bonds of molecules, which no solid has, and a distance that no rattled structure has."""
