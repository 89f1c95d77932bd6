"""M3GNet (Chen & Ong, Nat. Comput. Sci. 2, 718 (2022)) in one definition for all conventions.

The network maps edge vectors and element rows to one energy per atom. Every block is a pure
function of (atom features, edge features, geometry).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from m3compress.contract.forms import ThreeBodyForm
from m3compress.models.angular import solid_harmonics
from m3compress.models.config import M3GNetConfig
from m3compress.models.graph import Graph
from m3compress.models.radial import BesselBasis, SmoothBasis, polynomial_cutoff
from m3compress.models.three_body import (
    TripletGeometry,
    has_block,
    legendre_norms,
    same_order,
    three_body_sum,
)


class GatedMLP(nn.Module):
    """gMLP(x) = MLP_value(x) ⊙ MLP_gate(x): SiLU inside, last gate layer a sigmoid.

    Args:
        widths: Input, hidden and output widths.
        bias: Whether the layers have biases.
        activate_last: Whether the last value layer has a SiLU (not in the readout).
    """

    def __init__(
        self, widths: tuple[int, ...], *, bias: bool = True, activate_last: bool = True
    ) -> None:
        super().__init__()
        self.value = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(widths))
        self.gate = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(widths))
        self.activate_last = activate_last

    def forward(self, x: Tensor) -> Tensor:
        """(..., widths[0]) → (..., widths[-1])."""
        return self._finish(self._first(self.value, x), self._first(self.gate, x))

    def on_edges(self, graph: Graph, atoms: Tensor, edges: Tensor) -> Tensor:
        """The same on [v_i, v_j, e_ij], without ever forming that concatenation.

        The first layer is split by its inputs, and the atom parts are applied per atom before they
        are spread to the edges (exact, and about half the work).

        Args:
            graph: The structure.
            atoms: v, shape (n_atoms, node_width).
            edges: e, shape (*edges, edge_width).

        Returns:
            Shape (*edges, widths[-1]), in the precision of ``edges``.
        """
        result = self._finish(
            _split_linear(self.value[0], graph, atoms, edges),
            _split_linear(self.gate[0], graph, atoms, edges),
        )
        return result.to(edges.dtype)

    @staticmethod
    def _first(layers: nn.ModuleList, x: Tensor) -> Tensor:
        result: Tensor = layers[0](x)
        return result

    def _finish(self, value: Tensor, gate: Tensor) -> Tensor:
        for layer in self.value[1:]:
            value = layer(silu(value))
        for layer in self.gate[1:]:
            gate = layer(silu(gate))
        return (silu(value) if self.activate_last else value) * torch.sigmoid(gate)


def _split_linear(layer: Any, graph: Graph, atoms: Tensor, edges: Tensor) -> Tensor:
    """W [v_i, v_j, e_ij] + b in the precision of the layer; the atom parts in that of the atoms."""
    weight, bias = layer.weight, layer.bias
    width = atoms.shape[-1]
    per_atom = weight.to(atoms.dtype)
    center, neighbor = per_atom[:, :width], per_atom[:, width : 2 * width]
    from_center = atoms @ center.T + bias.to(atoms.dtype)
    from_atoms = graph.from_neighbors(atoms @ neighbor.T) + graph.from_centers(from_center)
    result: Tensor = edges.to(weight.dtype) @ weight[:, 2 * width :].T
    return result + from_atoms.to(weight.dtype)


class ThreeBody(nn.Module):
    """e_ij += SiLU(W₁ T) ⊙ σ(W₂ T), without biases, with T gated by σ(W v + b)."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        size = config.triplet_basis_size
        self.atom_gate = nn.Linear(config.node_width, size)
        self.update = GatedMLP((size, config.edge_width), bias=False)

    def forward(
        self, edges: Tensor, atoms: Tensor, geometry: TripletGeometry, form: ThreeBodyForm
    ) -> Tensor:
        """Updated edge features with the gate read at the end atom k."""
        gate = torch.sigmoid(self.atom_gate(atoms))
        updated: Tensor = edges + self.update(three_body_sum(geometry, gate, form))
        return updated

    def with_center_gate(
        self, edges: Tensor, atoms: Tensor, graph: Graph, ungated: Tensor
    ) -> Tensor:
        """The same with the gate at the centre (MatterSim), which factors out of the sum over k."""
        gate = graph.from_centers(torch.sigmoid(self.atom_gate(atoms)))
        updated: Tensor = edges + self.update(ungated * gate)
        return updated


class Block(nn.Module):
    """One round of message passing: three-body, then edge, then node update."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        joint = 2 * config.node_width + config.edge_width
        self.config = config
        self.three_body = ThreeBody(config)
        self.edge_update = GatedMLP((joint, *config.hidden, config.edge_width))
        self.edge_weight = nn.Linear(config.edge_basis_size, config.edge_width, bias=False)
        self.node_update = GatedMLP((joint, *config.hidden, config.node_width))
        self.node_weight = nn.Linear(config.edge_basis_size, config.node_width, bias=False)

    def forward(
        self, atoms: Tensor, edges: Tensor, geometry: Geometry, form: ThreeBodyForm
    ) -> tuple[Tensor, Tensor]:
        """(v, e) → (v', e') with shapes (n_atoms, node_width), (*edges, edge_width)."""
        graph = geometry.graph
        if geometry.triplets is not None:
            if geometry.ungated is None:
                edges = self.three_body(edges, atoms, geometry.triplets, form)
            else:
                edges = self.three_body.with_center_gate(edges, atoms, graph, geometry.ungated)
        edges = edges + self.edge_update.on_edges(graph, atoms, edges) * self.edge_weight(
            geometry.basis
        )
        weight = self.node_weight(geometry.basis)
        if self.config.message_activation == "silu":
            weight = silu(weight)
        messages = self.node_update.on_edges(graph, atoms, edges) * weight
        if self.config.convention.messages_to == "center":
            return atoms + graph.sum_to_centers(messages), edges
        return atoms + graph.sum_to_neighbors(messages), edges


@dataclass(frozen=True, slots=True)
class Geometry:
    """Everything the blocks read of the positions.

    Attributes:
        graph: The structure.
        basis: h(r), shape (*edges, n_basis); zero in padded slots, which is what silences them:
            every message is a multiple of W h.
        triplets: Geometry of the three-body block, or None when it is removed.
        ungated: T with G = 1, for conventions that gate at the centre, else None.
    """

    graph: Graph
    basis: Tensor
    triplets: TripletGeometry | None
    ungated: Tensor | None


class M3GNet(nn.Module):
    """The network part of the potential.

    Args:
        config: Sizes and conventions.

    The energy of a structure is Σ_i forward(...)_i + Σ_i shift(z_i) + offset; the last two are
    added in float64 by the caller (:mod:`m3compress.models.potential`).
    """

    scales: Tensor
    legendre_norms: Tensor
    same_order: Tensor

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(len(config.elements), config.node_width)
        self.edge_embedding = nn.Linear(
            config.edge_basis_size, config.edge_width, bias=config.edge_bias
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_blocks))
        readout = (config.node_width, *config.readout_hidden, 1)
        self.readout = GatedMLP(readout, activate_last=False)
        self.register_buffer("scales", torch.ones(len(config.elements)))
        lengths = (config.max_l, config.max_n)
        self.register_buffer("legendre_norms", legendre_norms(*lengths), persistent=False)
        self.register_buffer("same_order", same_order(*lengths), persistent=False)
        self.edge_basis = _make_basis(config.edge_basis, config, config.max_n)
        self.triplet_basis = _make_basis(config.triplet_basis, config, config.max_n * config.max_l)

    def forward(self, graph: Graph, species: Tensor, form: ThreeBodyForm) -> Tensor:
        """Network energy of every atom in eV, shape (n_atoms,).

        Args:
            graph: Edges in either layout.
            species: Row of each atom's element in the embedding, shape (n_atoms,).
            form: How to evaluate the three-body block.
        """
        geometry = self.describe(graph, form)
        atoms = self.embedding(species)
        edges = silu(self.edge_embedding(geometry.basis))
        for block in self.blocks:
            atoms, edges = block(atoms, edges, geometry, form)
        energies: Tensor = self.readout(atoms).squeeze(-1) * self.scales[species]
        return energies

    def describe(self, graph: Graph, form: ThreeBodyForm) -> Geometry:
        """Bases and angular quantities of a structure."""
        config = self.config
        r = graph.lengths(padding=config.cutoff)
        if not has_block(form):
            return Geometry(graph, graph.mask_edges(self.edge_basis(r)), None, None)
        radial = self.triplet_basis(r)
        kind, size = config.edge_basis, config.edge_basis_size
        same = (kind, size) == (config.triplet_basis, config.triplet_basis_size)
        basis = graph.mask_edges(radial if same else self.edge_basis(r))
        unit = graph.vectors / r
        # Without the last axis, for one number after the other is slow in ONNX Runtime.
        taper = polynomial_cutoff(r.squeeze(-1), config.three_body_cutoff).unsqueeze(-1)
        taper = graph.mask_edges(taper)
        triplets = TripletGeometry(
            graph=graph,
            unit=unit,
            taper=taper,
            radial=radial,
            weights=taper * radial * self.legendre_norms,
            harmonics=solid_harmonics(unit, config.max_l),
            max_l=config.max_l,
            inside=(r <= config.three_body_cutoff).squeeze(-1),
            norms=self.legendre_norms,
            same_order=self.same_order,
        )
        gated_at_center = config.convention.gate_atom == "center"
        ungated = three_body_sum(triplets, None, form) if gated_at_center else None
        return Geometry(graph, basis, triplets, ungated)


def with_half_mlps(network: M3GNet) -> M3GNet:
    """A copy with edge and node updates in float16; geometry, sums and energies stay.

    Args:
        network: A network in float32.
    """
    mixed = M3GNet(network.config).to(network.scales.dtype)
    mixed.load_state_dict(network.state_dict())
    blocks: Any = mixed.blocks
    for block in blocks:
        block.edge_update.half()
        block.node_update.half()
    return mixed.eval().requires_grad_(requires_grad=False)


def _make_basis(kind: str, config: M3GNetConfig, smooth_size: int) -> nn.Module:
    if kind == "smooth":
        return SmoothBasis(smooth_size, config.cutoff, config.convention.basis_constants)
    return BesselBasis(config.max_l, config.max_n, config.cutoff)
