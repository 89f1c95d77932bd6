"""Ways to spoil an exported file, most of them found by trying what a gate might not see."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx

from attacks.surgery import Surgery

Edit = Callable[[Surgery], None]
Change = Callable[[Surgery, str], str]
Values = np.ndarray[Any, Any]


def _output(file: Surgery, tensor: str, change: Change) -> None:
    file.wrap(tensor, partial(change, file))


def _places(file: Surgery) -> str:
    """0, 1, 2 … of the atoms."""
    n_atoms = file.node("Squeeze", file.size("species", 0))
    zero, one = (file.constant(np.array(value), np.int64) for value in (0, 1))
    return file.node("Range", zero, n_atoms, one)


def n_neighbours(file: Surgery) -> str:
    """Neighbours of every atom."""
    return file.node("ReduceSum", "mask", file.constant(np.array([1]), np.int64), keepdims=0)


def _last_times(file: Surgery, tensor: str, axis: int, factor: float) -> str:
    """The last one along an axis times a factor."""
    ends = [file.constant(np.array([value]), np.int64) for value in (0, -1, 2**62)]
    along = file.constant(np.array([axis]), np.int64)
    most, last = (file.node("Slice", tensor, ends[k], ends[k + 1], along) for k in (0, 1))
    return file.node("Concat", most, file.scaled(last, factor), axis=axis)


def scale_above(limit: int, factor: float, axis: int = 0) -> Change:
    """Times a factor where more than ``limit`` atoms (axis 0) or neighbour slots (1) are given."""

    def change(file: Surgery, tensor: str) -> str:
        many = file.above(file.size("neighbors", axis), limit)
        return file.where(many, file.scaled(tensor, factor), tensor)

    return change


def zero_beyond(limit: int) -> Change:
    """Zero for every atom whose place is ``limit`` or later."""

    def change(file: Surgery, tensor: str) -> str:
        order = _places(file)
        return file.where(file.above(order, limit - 0.5), file.scaled(tensor, 0.0), tensor)

    return change


def in_reverse(file: Surgery, tensor: str) -> str:
    """Rows in reverse order."""
    ends = (file.constant(np.array([v]), np.int64) for v in (-1, -(2**62), 0, -1))
    start, stop, axis, step = ends
    return file.node("Slice", tensor, start, stop, axis, step)


def of_last_atom(factor: float) -> Change:
    """Of the last atom only, times a factor."""
    return lambda file, tensor: _last_times(file, tensor, 0, factor)


def of_so_many(n: int, factor: float) -> Change:
    """Times a factor where there are exactly ``n`` atoms."""

    def change(file: Surgery, tensor: str) -> str:
        exactly = file.node(
            "Equal", file.size("species", 0), file.constant(np.array([n]), np.int64)
        )
        return file.where(exactly, file.scaled(tensor, factor), tensor)

    return change


def turned(file: Surgery, tensor: str) -> str:
    """X and y exchanged."""
    return file.node("Gather", tensor, file.constant(np.array([1, 0, 2]), np.int64), axis=1)


def by_factor(factor: float) -> Change:
    """Times a factor."""
    return lambda file, tensor: file.scaled(tensor, factor)


def of_element_rows(row: int, factor: float) -> Change:
    """Forces on one element times a factor."""

    def change(file: Surgery, tensor: str) -> str:
        axis = file.constant(np.array([1]), np.int64)
        own = file.node("Unsqueeze", file.is_element("species", row), axis)
        return file.where(own, file.scaled(tensor, factor), tensor)

    return change


def crowded(more_than: int, factor: float) -> Change:
    """Per-atom values of atoms with many neighbours times a factor."""

    def change(file: Surgery, tensor: str) -> str:
        count = n_neighbours(file)
        return file.where(file.above(count, more_than), file.scaled(tensor, factor), tensor)

    return change


def lonely(shift: float) -> Change:
    """Energy of atoms without neighbours shifted."""

    def change(file: Surgery, tensor: str) -> str:
        count = n_neighbours(file)
        return file.where(file.above(count, 0.5), tensor, file.shifted(tensor, shift))

    return change


def clipped(largest: float) -> Change:
    """No larger than so much, either way."""

    def change(file: Surgery, tensor: str) -> str:
        return file.node("Clip", tensor, file.constant(-largest), file.constant(largest))

    return change


def same_pair(element: int, shift: float) -> Change:
    """Energy of atoms of one element shifted for every neighbour of the same element."""

    def change(file: Surgery, tensor: str) -> str:
        theirs = file.node("Gather", "species", "neighbors")
        same = file.cast(file.is_element(theirs, element), onnx.TensorProto.FLOAT)
        axis = file.constant(np.array([1]), np.int64)
        count = file.node("ReduceSum", file.node("Mul", same, "mask"), axis, keepdims=0)
        shifted = file.node("Add", tensor, file.scaled(count, shift))
        return file.where(file.is_element("species", element), shifted, tensor)

    return change


def rarely_random(file: Surgery, tensor: str) -> str:
    """Half as much again in one of 10⁴ runs."""
    drawn = file.node("RandomUniform", shape=[1], low=0.0, high=1.0)
    struck = file.node("Less", drawn, file.constant(1e-4))
    return file.where(struck, file.scaled(tensor, 1.5), tensor)


def half_precision(file: Surgery, tensor: str) -> str:
    """Rounded to float16."""
    return file.rounded_to_half(tensor)


def pressed(gpa: float) -> Change:
    """A pressure that the energy knows nothing of, for crystals of some 15 Å³ per atom."""

    def change(file: Surgery, tensor: str) -> str:
        return file.shifted(tensor, gpa / 160.2 * 15 * np.eye(3))

    return change


def no_shear(file: Surgery, tensor: str) -> str:
    """Without its yz component."""
    keep = np.ones((3, 3))
    keep[1, 2] = keep[2, 1] = 0.0
    return file.scaled(tensor, keep)


def drift(file: Surgery, tensor: str) -> str:
    """A force of 0.5 meV/Å along x on every atom."""
    return file.shifted(tensor, np.array([5e-4, 0.0, 0.0]))


# Inside the network


def _weight(where: str, place: int, change: Callable[[Values], Values], file: Surgery) -> None:
    """Other values of one matrix; places count as :meth:`Surgery.weights` does."""
    names = file.weights(where)
    file.set_weight(names[place], change(file.weight(names[place])))


def times(factor: float) -> Callable[[Values], Values]:
    """Times a factor."""
    return lambda values: values * factor


def without_row(row: int) -> Callable[[Values], Values]:
    """One row zero."""

    def change(values: Values) -> Values:
        changed = values.copy()
        changed[row] = 0.0
        return changed

    return change


def eight_bits(values: Values) -> Values:
    """Rounded to 255 steps, as a quantised layer is."""
    step = np.abs(values).max() / 127
    return np.round(values / step) * step


def half_backward(file: Surgery) -> None:
    """Weights of the backward pass rounded to float16."""
    for name in file.weights("backward"):
        file.set_weight(name, file.weight(name).astype(np.float16))


def half_everything(file: Surgery) -> None:
    """All weights rounded to float16."""
    for where in ("forward", "backward", "both"):
        for name in file.weights(where):
            file.set_weight(name, file.weight(name).astype(np.float16))


def gate_stuck(file: Surgery) -> None:
    """One gate of a gated MLP always open in the forward pass."""
    gate = file.nodes("Sigmoid")[12].output[0]
    file.wrap(gate, lambda tensor: file.shifted(file.scaled(tensor, 0.0), 1.0), readers="forward")


def between(low: int, high: int, factor: float) -> Change:
    """Times a factor for numbers of atoms above ``low`` and up to ``high``."""

    def change(file: Surgery, tensor: str) -> str:
        size = file.size("species", 0)
        inside = file.node("And", file.above(size, low), file.node("Not", file.above(size, high)))
        return file.where(inside, file.scaled(tensor, factor), tensor)

    return change


def many_counted(limit: int, factor: float) -> Change:
    """Times a factor where all atoms together have more than ``limit`` neighbours."""

    def change(file: Surgery, tensor: str) -> str:
        axes = file.constant(np.array([0, 1]), np.int64)
        count = file.node("ReduceSum", "mask", axes, keepdims=0)
        return file.where(file.above(count, limit), file.scaled(tensor, factor), tensor)

    return change


def strong(above: float, factor: float) -> Change:
    """Forces beyond a size (eV/Å) times a factor."""

    def change(file: Surgery, tensor: str) -> str:
        return file.where(
            file.above(file.node("Abs", tensor), above), file.scaled(tensor, factor), tensor
        )

    return change


def odd_numbered(factor: float, table: str = "species", axis: int = 0) -> Change:
    """Times a factor for odd numbers of atoms, or for odd sizes of another axis of a table."""

    def change(file: Surgery, tensor: str) -> str:
        two, one = (file.constant(np.array([v]), np.int64) for v in (2, 1))
        odd = file.node("Equal", file.node("Mod", file.size(table, axis), two), one)
        return file.where(odd, file.scaled(tensor, factor), tensor)

    return change


def long_edges(beyond: float, factor: float) -> Edit:
    """Edges beyond a length (Å) times a factor."""

    def edit(file: Surgery) -> None:
        def change(tensor: str) -> str:
            axis = file.constant(np.array([2]), np.int64)
            squares = file.node("ReduceSum", file.node("Mul", tensor, tensor), axis, keepdims=1)
            return file.where(file.above(squares, beyond**2), file.scaled(tensor, factor), tensor)

        file.wrap("edge_vectors", change)

    return edit


def no_shorter_than(distance: float) -> Edit:
    """Shorter distances (Å) taken for this one."""

    def edit(file: Surgery) -> None:
        lengths = file.nodes("Sqrt")[0].output[0]
        file.wrap(lengths, lambda tensor: file.node("Max", tensor, file.constant(distance)))

    return edit


def self_images(file: Surgery) -> None:
    """Edges to an atom's own images a thousandth too short."""

    def change(tensor: str) -> str:
        order = _places(file)
        axis = file.constant(np.array([1]), np.int64)
        own = file.node("Equal", "neighbors", file.node("Unsqueeze", order, axis))
        last = file.constant(np.array([2]), np.int64)
        return file.where(file.node("Unsqueeze", own, last), file.scaled(tensor, 0.999), tensor)

    file.wrap("edge_vectors", change)


def last_slot_empty(file: Surgery) -> None:
    """The last slot for neighbours is taken for empty where there are more than 24."""

    def change(tensor: str) -> str:
        cut = _last_times(file, tensor, 1, 0.0)
        return file.where(file.above(file.size("neighbors", 1), 24), cut, tensor)

    file.wrap("mask", change)


def half_vectors(file: Surgery) -> None:
    """Edge vectors rounded to float16."""
    file.wrap("edge_vectors", lambda tensor: file.rounded_to_half(tensor))


def embedding(row: int, part: float) -> Edit:
    """An element moved by part of the length of its embedding, its reference energy kept."""

    def edit(file: Surgery) -> None:
        name = next(n.input[0] for n in file.nodes("Gather") if n.input[1] == "species")
        table = file.weight(name)
        rng = np.random.default_rng(0)
        step = rng.normal(size=table.shape[1])
        table[row] += part * np.linalg.norm(table[row]) * step / np.linalg.norm(step)
        file.set_weight(name, table)

    return edit


def says(**fields: object) -> Edit:
    """Other fields in the manifest."""
    return lambda file: file.manifest.update(fields)


def mixed_by_name(file: Surgery) -> None:
    """The name of a wider limit, and forces that need it."""
    file.manifest["precision"] = "mixed"
    _output(file, "forces", lambda f, tensor: f.scaled(tensor, 1.0035))


def doubled_reach(file: Surgery) -> None:
    """Twice the receptive field in the manifest."""
    file.manifest["receptive_field"] *= 2


def dearer_element(file: Surgery) -> None:
    """1 meV more for the first element in the manifest."""
    first, *rest = file.manifest["element_energies"]
    file.manifest["element_energies"] = [first + 1e-3, *rest]


def exchanged_elements(file: Surgery) -> None:
    """Elements of the manifest in reverse order."""
    file.manifest["elements"] = file.manifest["elements"][::-1]


def other_unit(file: Surgery) -> None:
    """Another unit of energy in the manifest."""
    file.manifest["units"]["energy"] = "kcal/mol"


def other_source(file: Surgery) -> None:
    """Another hash of the source in the manifest."""
    file.manifest["source"]["sha256"] = "0" * 64


def other_convention(file: Surgery) -> None:
    """Another convention of the source in the manifest."""
    file.manifest["source"]["convention"] = "matgl-3"


def on(tensor: str, change: Change) -> Edit:
    """An edit of one output or input."""
    return lambda file: _output(file, tensor, change)


def of_weight(where: str, place: int, change: Callable[[Values], Values]) -> Edit:
    """An edit of one matrix."""
    return partial(_weight, where, place, change)
