"""From a potential to one traced function: tables in; energies, forces, virials of the atoms out.

The only gradient leaf is ``edge_vectors``; forces and virial are sums of its gradient g = ∂E/∂r_ij
(``docs/conventions.md``): F_i = Σ_out g − Σ_in g, W_i = Σ_out r ⊗ g.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental import _config as symbolic_shapes
from torch.fx.experimental.proxy_tensor import make_fx

from m3compress.contract.forms import ThreeBodyForm
from m3compress.models.graph import TableGraph
from m3compress.models.network import M3GNet

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class ForceField(nn.Module):
    """Energies, forces and virials of one padded table (shapes as in the manifest)."""

    def __init__(self, network: M3GNet, form: ThreeBodyForm) -> None:
        super().__init__()
        self.network = network
        self.form = form

    def forward(
        self,
        species: Tensor,
        neighbors: Tensor,
        mask: Tensor,
        edge_vectors: Tensor,
        incoming: Tensor,
        incoming_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the names and meanings in :mod:`m3compress.contract.manifest`."""
        leaf = edge_vectors.detach().requires_grad_()
        graph = TableGraph(neighbors, mask, leaf, incoming, incoming_mask)
        energies = self.network(graph, species, self.form)
        (gradient,) = torch.autograd.grad(energies.sum(), leaf)
        forces = graph.sum_to_centers(gradient) - graph.sum_to_neighbors(gradient)
        # Whoever runs the graph adds them, in float64: a float32 sum of thousands loses digits.
        virials = edge_vectors.transpose(1, 2) @ gradient
        return energies.detach(), forces, virials


def example_inputs(n_atoms: int, width: int, width_in: int, dtype: torch.dtype) -> Inputs:
    """Inputs of the right shapes for tracing; their values do not end up in the graph."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.zeros(n_atoms, dtype=torch.int64),
        torch.randint(0, n_atoms, (n_atoms, width), generator=generator),
        torch.ones(n_atoms, width, dtype=dtype),
        torch.randn(n_atoms, width, 3, generator=generator, dtype=dtype) + 2.0,
        torch.randint(0, n_atoms * width, (n_atoms, width_in), generator=generator),
        torch.ones(n_atoms, width_in, dtype=dtype),
    )


def record(function: Callable[..., Any], *inputs: Tensor) -> fx.GraphModule:
    """Record a function of tensors as one graph of operators with dynamic sizes.

    ``make_fx`` records backward passes as ordinary operators. Duck-shaping is off, so that two
    sizes that happen to be equal in the example inputs stay independent; sizes 0 and 1 are fixed.
    """
    with symbolic_shapes.patch(use_duck_shape=False):  # type: ignore[attr-defined]
        return make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)


def trace(network: M3GNet, form: ThreeBodyForm) -> fx.GraphModule:
    """Record energy and its gradient as one graph with dynamic n_atoms, K and K_in.

    Args:
        network: A network in the precision of the exported file.
        form: Any form that exists on padded tables.
    """
    return record(ForceField(network, form), *example_inputs(7, 5, 6, network.scales.dtype))
