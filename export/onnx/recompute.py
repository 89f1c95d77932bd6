"""Trade a little arithmetic for a lot of memory: recompute cheap values in the backward pass.

A traced energy-and-gradient graph keeps every forward value that its backward pass reads.
Edge-wide values (n_atoms · K · 64 numbers) are what fills the memory of an MD step. Products,
activations and products with narrow matrices are recomputed from values that are kept anyway; only
what a wide matrix product would be needed for is kept. This is rematerialisation (Chen et al.,
arXiv:1604.06174) with a fixed notion of cheap.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

aten = torch.ops.aten

#: A value with fewer columns than this is small beside the edge features, and is kept.
NARROW = 32

_ELEMENTWISE = {
    aten.mul.Tensor,
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.sigmoid.default,
    aten.silu.default,
    aten.detach.default,
}
_RESHAPES = {
    aten.view.default,
    aten._unsafe_view.default,  # noqa: SLF001 - an operator of PyTorch
    aten.unsqueeze.default,
}


def recompute_cheap_values(graph: fx.Graph, energies: fx.Node) -> fx.Node | None:
    """Rewrite a traced graph so that its backward part recomputes what is cheap.

    Args:
        graph: Forward and backward in one graph, as ``make_fx`` records them.
        energies: The forward result; everything recorded after the last step to it is backward.

    Returns:
        The first node of the backward part, or None if there is none.
    """
    while energies.target is aten.detach.default:
        energies = energies.all_input_nodes[0]
    *nodes, _ = graph.nodes  # all but what is returned
    boundary = nodes.index(energies) + 1
    forward, backward = set(nodes[:boundary]), nodes[boundary:]
    kept = _choose_kept(nodes[:boundary], forward)
    _Rewriter(graph, forward, kept).rewrite(backward)
    return backward[0] if backward else None


def _is_wide(node: fx.Node) -> bool:
    """Whether a value has the size of edge features."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.dim() < 2:
        return False
    columns = value.shape[-1]
    per_edge = value.dim() == 3 or not isinstance(value.shape[0], int)
    return per_edge and isinstance(columns, int) and columns >= NARROW


def _choose_kept(ordered: list[fx.Node], forward: set[fx.Node]) -> set[fx.Node]:
    """Wide forward values that have to survive until the backward pass."""
    kept: set[fx.Node] = set()
    for node in ordered:
        if not _is_wide(node) or not any(
            _reads(user, node) for user in node.users if user not in forward
        ):
            continue
        if can_recompute(node, kept):
            continue
        source = node.args[0] if node.target is aten.silu.default else node
        kept.add(source if isinstance(source, fx.Node) else node)
    return kept


def _reads(user: fx.Node, node: fx.Node) -> bool:
    """Whether a backward node reads the value: a size is no value, silu_backward reads a slope."""
    if user.target is aten.sym_size.int:
        return False
    return not (user.target is aten.silu_backward.default and user.args[0] is not node)


def can_recompute(node: fx.Node, kept: set[fx.Node]) -> bool:
    """Whether a value is at hand in the backward pass, or cheap to rebuild from what is."""
    if node in kept or node.op != "call_function" or not _is_wide(node):
        return True
    if node.target in _RESHAPES:
        return can_recompute(node.args[0], kept)  # type: ignore[arg-type]
    if node.target is aten.mm.default:
        inner = node.args[0].meta["val"].shape[-1]  # type: ignore[union-attr]
        return inner < NARROW and can_recompute(node.args[0], kept)  # type: ignore[arg-type]
    if node.target in _ELEMENTWISE:
        return all(can_recompute(argument, kept) for argument in node.all_input_nodes)
    return False


class _Rewriter:
    """Replaces what backward nodes read by copies that are computed there."""

    def __init__(self, graph: fx.Graph, forward: set[fx.Node], kept: set[fx.Node]) -> None:
        self.graph = graph
        self.forward = forward
        self.kept = kept
        self.copies: dict[fx.Node, fx.Node] = {}

    def rewrite(self, backward: list[fx.Node]) -> None:
        for node in backward:
            if node.target is aten.sym_size.int:
                continue
            with self.graph.inserting_before(node):
                node.args = fx.node.map_arg(node.args, self._at_hand)
            if node.target is aten.silu_backward.default:
                source: Any = node.args[1]
                if source in self.kept:
                    source.meta["slope_later"] = True

    def _at_hand(self, node: fx.Node) -> fx.Node:
        """The node itself if it is kept, small or backward, else a copy made here."""
        if node not in self.forward or node in self.kept or not _is_wide(node):
            return node
        if node.op != "call_function" or not can_recompute(node, self.kept):
            return node
        if node not in self.copies:
            sources = {argument: self._at_hand(argument) for argument in node.all_input_nodes}
            self.copies[node] = self.graph.node_copy(node, lambda argument: sources[argument])
            self.copies[node].meta["again"] = True
        return self.copies[node]
