"""The two layouts in which the network sees a structure: a flat edge list and a padded table.

The network is written once against :class:`Graph`. On an :class:`EdgeGraph` (reference, training)
sums over neighbours are scatter-adds; on a :class:`TableGraph` (export) they are plain sums over
the K axis, and the backward of every gather is again a gather and a sum: no scatter in either
direction.

Shapes: ``*edges`` stands for (n_edges,) in the edge list and (n_atoms, K) in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Graph(Protocol):
    """What the network needs of a structure."""

    @property
    def vectors(self) -> Tensor:
        """Edge vectors r_ij in Å, shape (*edges, 3)."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""

    def lengths(self, padding: float) -> Tensor:
        """|r_ij| in Å, shape (*edges, 1); ``padding`` (Å, > 0) in padded slots."""

    def mask_edges(self, values: Tensor) -> Tensor:
        """Set the values of padded slots to exactly zero, shape (*edges, ...) both."""

    def from_centers(self, values: Tensor) -> Tensor:
        """Spread per-atom values (n_atoms, width) to the edges that leave each atom."""

    def from_neighbors(self, values: Tensor) -> Tensor:
        """Read per-atom values (n_atoms, width) at the far end of every edge."""

    def sum_to_centers(self, values: Tensor) -> Tensor:
        """Sum edge values (*edges, width) on the atom that each edge leaves, (n_atoms, width)."""

    def sum_to_neighbors(self, values: Tensor) -> Tensor:
        """Sum edge values (*edges, width) on the atom each edge points at, (n_atoms, width)."""

    def sum_outer(self, left: Tensor, right: Tensor) -> Tensor:
        """Σ_edges of left ⊗ right per centre: (*edges, a), (*edges, b) → (n_atoms, a, b)."""

    def contract(self, edge_values: Tensor, atom_values: Tensor) -> Tensor:
        """Σ_a edge[a] · atom[a, b] with the centre's values.

        Shapes: (*edges, a), (n_atoms, a, b) → (*edges, b).
        """


@dataclass(frozen=True, slots=True)
class EdgeGraph:
    """Flat edges, sorted by centre.

    Attributes:
        centers: Index i of every edge, shape (n_edges,).
        neighbors: Index j of every edge, shape (n_edges,).
        vectors: r_ij in Å, shape (n_edges, 3).
        n_atoms: Number of atoms (of all structures of a batch together).
    """

    centers: Tensor
    neighbors: Tensor
    vectors: Tensor
    n_atoms: int

    def lengths(self, padding: float) -> Tensor:  # noqa: ARG002 - there is no padding here
        """See :class:`Graph`."""
        return torch.sqrt((self.vectors * self.vectors).sum(-1, keepdim=True))

    def mask_edges(self, values: Tensor) -> Tensor:
        """There is no padding in an edge list."""
        return values

    def from_centers(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return values.index_select(0, self.centers)

    def from_neighbors(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return values.index_select(0, self.neighbors)

    def sum_to_centers(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return values.new_zeros(self.n_atoms, *values.shape[1:]).index_add(0, self.centers, values)

    def sum_to_neighbors(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return values.new_zeros(self.n_atoms, *values.shape[1:]).index_add(
            0, self.neighbors, values
        )

    def sum_outer(self, left: Tensor, right: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return self.sum_to_centers(left.unsqueeze(-1) * right.unsqueeze(-2))

    def contract(self, edge_values: Tensor, atom_values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return (edge_values.unsqueeze(-2) @ atom_values.index_select(0, self.centers)).squeeze(-2)


@dataclass(frozen=True, slots=True)
class TableGraph:
    """Padded slots, centre-major (design: :class:`m3compress.contract.neighbors.NeighborTable`).

    Attributes:
        neighbors: Neighbour j in every slot, shape (n_atoms, K).
        mask: 1 where a slot holds an edge, else 0, floating point, shape (n_atoms, K).
        vectors: r_ij in Å, shape (n_atoms, K, 3); in padded slots any finite vector.
        incoming: Flat slots that point at each atom, shape (n_atoms, K_in).
        incoming_mask: 1 where ``incoming`` holds a slot, else 0, shape (n_atoms, K_in).
    """

    neighbors: Tensor
    mask: Tensor
    vectors: Tensor
    incoming: Tensor
    incoming_mask: Tensor

    @property
    def n_atoms(self) -> int:
        """Rows of the table."""
        return self.neighbors.shape[0]

    def lengths(self, padding: float) -> Tensor:
        """See :class:`Graph`; the padding keeps 1/r and its gradient finite in empty slots."""
        empty = (1.0 - self.mask) * (padding * padding)
        return torch.sqrt((self.vectors * self.vectors).sum(-1) + empty).unsqueeze(-1)

    def mask_edges(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return values * self.mask.unsqueeze(-1)

    def from_centers(self, values: Tensor) -> Tensor:
        """Broadcast over the slots: (n_atoms, 1, width), so that nothing is copied."""
        return values.unsqueeze(1)

    def from_neighbors(self, values: Tensor) -> Tensor:
        """See :class:`Graph`; the values read in padded slots are those of atom 0."""
        gathered: Tensor = _GatherNeighbors.apply(  # type: ignore[no-untyped-call]
            values, self.neighbors, self.incoming, self.incoming_mask
        )
        return gathered

    def sum_to_centers(self, values: Tensor) -> Tensor:
        """See :class:`Graph`; padded slots must already be zero."""
        return values.sum(1)

    def sum_to_neighbors(self, values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        summed: Tensor = _SumIncoming.apply(  # type: ignore[no-untyped-call]
            values, self.neighbors, self.mask, self.incoming, self.incoming_mask
        )
        return summed

    def sum_outer(self, left: Tensor, right: Tensor) -> Tensor:
        """See :class:`Graph`; ``right`` must be zero in padded slots."""
        return left.transpose(1, 2) @ right

    def contract(self, edge_values: Tensor, atom_values: Tensor) -> Tensor:
        """See :class:`Graph`."""
        return edge_values @ atom_values


def _read_rows(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows] for a 2-D index, as one flat gather: (n, width), (a, b) → (a, b, width)."""
    return values.index_select(0, rows.reshape(-1)).reshape(*rows.shape, values.shape[-1])


def _sum_incoming(values: Tensor, incoming: Tensor, incoming_mask: Tensor) -> Tensor:
    """Σ over the slots that point at each atom: (n_atoms, K, width) → (n_atoms, width)."""
    flat = values.reshape(-1, values.shape[-1])
    # As a product with the mask, masking and summing are one pass over memory.
    return (incoming_mask.unsqueeze(1) @ _read_rows(flat, incoming)).squeeze(1)


class _GatherNeighbors(torch.autograd.Function):
    """values[neighbors] whose backward gathers through the incoming table instead of scattering."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, neighbors: Tensor, incoming: Tensor, incoming_mask: Tensor
    ) -> Tensor:
        ctx.save_for_backward(incoming, incoming_mask)
        return _read_rows(values, neighbors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        incoming, incoming_mask = ctx.saved_tensors
        return _sum_incoming(grad, incoming, incoming_mask), None, None, None


class _SumIncoming(torch.autograd.Function):
    """Sum on the neighbour; its backward is the gather of the neighbour's gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        neighbors: Tensor,
        mask: Tensor,
        incoming: Tensor,
        incoming_mask: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(neighbors, mask)
        return _sum_incoming(values, incoming, incoming_mask)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        neighbors, mask = ctx.saved_tensors
        return _read_rows(grad, neighbors) * mask.unsqueeze(-1), None, None, None, None
