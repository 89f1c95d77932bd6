"""Recomputation: the same numbers, with fewer wide values that wait for the backward pass."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import fx
from torch.nn import functional

from m3compress.export.onnx.recompute import NARROW, can_recompute, recompute_cheap_values
from m3compress.export.onnx.traced import aten, tensor_of
from m3compress.export.trace import record

N_ATOMS, WIDTH = 5, 4


def weight(rows, columns):
    generator = torch.Generator().manual_seed(rows + columns)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64) / rows**0.5


def forces(columns):
    """A gated update of edge features that are ``columns`` wide, and dΣE/dr."""
    embed, first, second, gate, readout = (
        weight(*shape) for shape in ((3, columns), *[(columns, columns)] * 3, (columns, 1))
    )

    def function(vectors):
        leaf = vectors.detach().requires_grad_()
        edges = functional.silu(leaf @ embed)
        update = functional.silu(functional.silu(edges @ first) @ second)
        edges = edges + update * torch.sigmoid(edges @ gate)
        energies = (edges @ readout).sum((1, 2))
        (gradient,) = torch.autograd.grad(energies.sum(), leaf)
        return energies.detach(), gradient

    return function


def example(n_atoms=N_ATOMS, width=WIDTH):
    generator = torch.Generator().manual_seed(n_atoms)
    return torch.randn(n_atoms, width, 3, generator=generator, dtype=torch.float64)


def traced(function):
    module = record(function, example())
    module.graph.eliminate_dead_code()
    energies = module.graph.output_node().args[0][0]
    return module, energies


def is_wide(node):
    value = node.meta.get("val")
    computed = node.op == "call_function" and isinstance(value, torch.Tensor)
    return computed and value.dim() > 1 and value.shape[-1] >= NARROW


def waiting(module: fx.GraphModule, energies: fx.Node) -> Counter:
    """Wide forward values that the backward part reads, by operator; slopes count as such."""
    nodes = list(module.graph.nodes)
    boundary = nodes.index(energies.args[0]) + 1  # behind the detach
    forward, found = set(nodes[:boundary]), {}
    for node in nodes[boundary:]:
        for argument in node.all_input_nodes:
            source = argument
            while source.target is aten.detach.default:
                source = source.args[0]
            if source not in forward or not is_wide(source) or node.target is aten.sym_size.int:
                continue
            slope = node.target is aten.silu_backward.default and argument is node.args[1]
            if slope and not argument.meta.get("slope_later"):
                found["slope of", source] = "slope"
            else:
                found["value of", source] = source.target
    return Counter(found.values())


@pytest.mark.parametrize("columns", [NARROW, 48])
def test_the_numbers_stay_the_same(columns):
    module, energies = traced(forces(columns))
    inputs = [example(), example(8, 6)]
    before = [module(x) for x in inputs]
    assert recompute_cheap_values(module.graph, energies) is not None
    module.graph.lint()
    module.recompile()
    for x, expected in zip(inputs, before, strict=True):
        got = module(x)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_what_waits_for_the_backward_pass_are_fewer_values():
    module, energies = traced(forces(NARROW))
    # Three slopes, the update and the gate.
    before = waiting(module, energies)
    assert before == {"slope": 3, aten.silu.default: 1, aten.sigmoid.default: 1}
    recompute_cheap_values(module.graph, energies)
    # The first slope is made of the edge vectors; update and slope share what both are made of.
    after = waiting(module, energies)
    assert after == {
        "slope": 1,
        aten._unsafe_view.default: 1,
        aten.sigmoid.default: 1,
    }


def test_copies_are_made_behind_the_energies_and_once():
    module, energies = traced(forces(NARROW))
    before = set(module.graph.nodes)
    first = recompute_cheap_values(module.graph, energies)
    nodes = list(module.graph.nodes)
    copies = [node for node in nodes if node not in before]
    assert copies
    assert all(nodes.index(copy) > nodes.index(first) for copy in copies)
    assert len({(copy.target, copy.args) for copy in copies}) == len(copies)


def test_narrow_values_are_kept():
    module, energies = traced(forces(NARROW - 1))
    before = [(node.target, node.args) for node in module.graph.nodes]
    recompute_cheap_values(module.graph, energies)
    assert [(node.target, node.args) for node in module.graph.nodes] == before


def test_a_graph_without_a_gradient_is_left_alone():
    wide = weight(3, NARROW)
    module, energies = traced(lambda x: (functional.silu(x @ wide) * 2,))
    before = [(node.target, node.args) for node in module.graph.nodes]
    assert recompute_cheap_values(module.graph, energies) is None
    assert [(node.target, node.args) for node in module.graph.nodes] == before


def test_what_is_cheap():
    wide, square = weight(3, NARROW), weight(NARROW, NARROW)

    def function(x):
        embedded = x @ wide
        mixed = embedded @ square
        return embedded * 2, mixed.sigmoid(), embedded.cos(), mixed.sum(-1)

    module = record(function, example())
    doubled, gate, cosine, narrow = module.graph.output_node().args[0]
    assert can_recompute(doubled, set())
    assert not can_recompute(gate, set())  # behind a wide matrix product …
    assert can_recompute(gate, {gate.args[0]})  # … unless that is kept
    assert not can_recompute(cosine, set())  # only what the network's updates hold is listed
    assert can_recompute(narrow, set())
    assert tensor_of(narrow).dim() == 2
