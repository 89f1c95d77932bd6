"""The algebra of the three-body forms (``docs/three-body.md`` derives it).

For an edge i→j, with f the cutoff polynomial, R the radial basis and G the gate,

    T_ij[l, n] = f(r_ij) Σ_{k≠j} f(r_ik) R_ln(r_ik) Y_l0(θ_jik) G[l, n].

All forms share w_ik[l, n] = f(r_ik) R_ln(r_ik) G[l, n] and Y_l0 = c_l P_l, c_l = √((2l+1)/4π), and
differ only in how the sum over k of c_l w_ik P_l is done. What else is known of a form stands in
its row (:mod:`m3compress.contract.forms`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from m3compress.contract.forms import ThreeBodyForm
from m3compress.errors import ExportError
from m3compress.models.angular import legendre
from m3compress.models.graph import EdgeGraph, Graph, TableGraph


@dataclass(frozen=True, slots=True)
class TripletGeometry:
    """What the three-body sums need of the geometry; the same for every block of a step.

    Attributes:
        graph: The structure.
        unit: r_ij / |r_ij|, shape (*edges, 3).
        taper: f(r_ij), shape (*edges, 1); zero in padded slots.
        radial: R_ln(r_ij), columns l-major, shape (*edges, max_l · max_n).
        weights: c_l w_ij with G = 1, shape (*edges, max_l · max_n).
        harmonics: S_lm(r̂_ij) of :mod:`m3compress.models.angular`, shape (*edges, max_l²).
        max_l: Number of angular momenta.
        inside: Whether an edge is within the three-body cutoff, shape (*edges,).
        norms: :func:`legendre_norms`, in the dtype of the network.
        same_order: :func:`same_order`, in the dtype of the network.
    """

    graph: Graph
    unit: Tensor
    taper: Tensor
    radial: Tensor
    weights: Tensor
    harmonics: Tensor
    max_l: int
    inside: Tensor
    norms: Tensor
    same_order: Tensor

    @property
    def max_n(self) -> int:
        """Radial functions per angular momentum."""
        return self.radial.shape[-1] // self.max_l


#: T_ij[l, n] of a geometry; the gate is G[l, n] of every atom, read at the end atom k, shape
#: (n_atoms, max_l · max_n), or None for 1.
Sum = Callable[[TripletGeometry, Tensor | None, ThreeBodyForm], Tensor]
#: Which triplets (i, j, k) are kept, as atom indices that broadcast with each other.
Keep = Callable[[Tensor, Tensor, Tensor], Tensor]


def has_block(form: ThreeBodyForm) -> bool:
    """Whether anything of the three-body block is left to evaluate."""
    return SUMS[form.name] is not None


def three_body_sum(geometry: TripletGeometry, gate: Tensor | None, form: ThreeBodyForm) -> Tensor:
    """T_ij[l, n] in the chosen form.

    Args:
        geometry: The geometry of all edges.
        gate: G[l, n] of every atom, read at the end atom k, shape (n_atoms, max_l · max_n);
            None for 1.
        form: Any form that has a block.

    Returns:
        T, shape (*edges, max_l · max_n).

    Raises:
        ExportError: If the form does not exist on this graph layout.
    """
    total = SUMS[form.name]
    if total is None:
        raise ExportError(f"the form {form} has no three-body block to sum")
    return total(geometry, gate, form)


def legendre_norms(max_l: int, max_n: int) -> Tensor:
    """c_l = √((2l+1)/4π) for every column (l, n), shape (max_l · max_n,)."""
    norms = [math.sqrt((2 * order + 1) / (4 * math.pi)) for order in range(max_l)]
    return torch.tensor(norms, dtype=torch.float64).repeat_interleave(max_n)


def same_order(max_l: int, max_n: int) -> Tensor:
    """1 where row (l, m) and column (l', n) have l = l', else 0, shape (max_l², max_l · max_n)."""
    orders = torch.arange(max_l)
    rows = orders.repeat_interleave(2 * orders + 1)
    columns = orders.repeat_interleave(max_n)
    return (rows[:, None] == columns[None, :]).to(torch.float64)


def gated_weights(geometry: TripletGeometry, gate: Tensor | None) -> Tensor:
    """c_l w_ik[l, n] of every edge, shape (*edges, max_l · max_n)."""
    if gate is None:
        return geometry.weights
    return geometry.weights * geometry.graph.from_neighbors(gate)


def factorized_sum(geometry: TripletGeometry, gate: Tensor | None, _: ThreeBodyForm) -> Tensor:
    """Σ_{k≠j} w_ik P_l(cos θ_jik) by the addition theorem: sums over k per atom, then over m.

    The sum runs over all k; the term k = j, w_ij P_l(1) = w_ij, is subtracted.
    """
    graph, weights = geometry.graph, gated_weights(geometry, gate)
    harmonics = geometry.harmonics
    if isinstance(graph, EdgeGraph):
        total = _by_orders(graph, harmonics, weights, geometry)
    else:
        moments = graph.sum_outer(harmonics, weights)
        total = graph.contract(harmonics, moments * geometry.same_order)
    return geometry.taper * (total - weights)


def _by_orders(
    graph: EdgeGraph, harmonics: Tensor, weights: Tensor, geometry: TripletGeometry
) -> Tensor:
    """Σ_m Y_lm(ij) Σ_k Y_lm(ik) w_ik[l, n], of equal l alone: a third of all products."""
    # Plain numbers, not what is not zero of a tensor: a traced step may not depend on values.
    n_rows, max_n = geometry.max_l**2, geometry.max_n
    pairs = [(row, math.isqrt(row) * max_n + n) for row in range(n_rows) for n in range(max_n)]
    rows, columns = torch.tensor(pairs, device=weights.device).unbind(1)
    spread = harmonics.index_select(1, rows)
    moments = graph.sum_to_centers(spread * weights.index_select(1, columns))
    over_m = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    return (spread * graph.from_centers(moments)) @ over_m.index_select(0, columns)


def triplet_sum(geometry: TripletGeometry, gate: Tensor | None, _: ThreeBodyForm) -> Tensor:
    """The explicit sum over all triplets, as published; the reference."""
    return _explicit_sum(geometry, gate, keep=None)


def pruned_sum(geometry: TripletGeometry, gate: Tensor | None, form: ThreeBodyForm) -> Tensor:
    """The explicit sum over the triplets that a seeded pruning keeps."""
    return _explicit_sum(geometry, gate, keep=lambda i, j, k: survives(i, j, k, form))


def _explicit_sum(geometry: TripletGeometry, gate: Tensor | None, keep: Keep | None) -> Tensor:
    graph, weights = geometry.graph, gated_weights(geometry, gate)
    if isinstance(graph, TableGraph):
        total = _dense_triplets(geometry, graph, weights, keep)
    elif isinstance(graph, EdgeGraph):
        total = _listed_triplets(geometry, graph, weights, keep)
    else:
        raise ExportError(f"triplets cannot be listed on a {type(graph).__name__}")
    return geometry.taper * total


def list_triplets(centers: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Ordered pairs (a, b), a ≠ b, of edges with one centre, inside the three-body cutoff.

    Args:
        centers: Centre of every edge, sorted ascending, shape (n_edges,).
        inside: Which edges take part, shape (n_edges,).

    Returns:
        Indices a and b into the edge list, shape (n_triplets,) each, sorted by a, then by b.
    """
    kept = torch.nonzero(inside).squeeze(-1)
    owners = centers[kept]
    counts = torch.bincount(owners) if len(owners) else owners.new_zeros(1)
    starts = torch.cumsum(counts, 0) - counts
    per_edge = counts[owners]
    edges = torch.arange(len(kept), device=kept.device)
    first = torch.repeat_interleave(edges, per_edge)
    offsets = torch.arange(len(first), device=kept.device) - torch.repeat_interleave(
        torch.cumsum(per_edge, 0) - per_edge, per_edge
    )
    second = starts[owners[first]] + offsets
    distinct = first != second
    return kept[first[distinct]], kept[second[distinct]]


def _listed_triplets(
    geometry: TripletGeometry, graph: EdgeGraph, weights: Tensor, keep: Keep | None
) -> Tensor:
    """Σ over listed triplets."""
    a, b = list_triplets(graph.centers, geometry.inside)
    if keep is not None:
        kept = keep(graph.centers[a], graph.neighbors[a], graph.neighbors[b])
        a, b = a[kept], b[kept]
    cosine = (geometry.unit[a] * geometry.unit[b]).sum(-1, keepdim=True)
    terms = _times_legendre(weights[b], cosine, geometry.max_l)
    return torch.zeros_like(weights).index_add(0, a, terms)


def _times_legendre(weights: Tensor, cosine: Tensor, max_l: int) -> Tensor:
    """w[l, n] · P_l(cos) for columns l-major."""
    polynomials = torch.cat(legendre(cosine, max_l), dim=-1)
    return weights * polynomials.repeat_interleave(weights.shape[-1] // max_l, dim=-1)


def _dense_triplets(
    geometry: TripletGeometry, graph: TableGraph, weights: Tensor, keep: Keep | None
) -> Tensor:
    """All K × K pairs of slots, for exporting the triplet form or a pruned one; O(K²) per atom."""
    cosine = geometry.unit @ geometry.unit.transpose(1, 2)
    slot = torch.arange(graph.neighbors.shape[1], device=weights.device)
    distinct = slot.unsqueeze(1) != slot.unsqueeze(0)
    if keep is not None:
        center = torch.arange(graph.n_atoms, device=weights.device)[:, None, None]
        neighbors = graph.neighbors
        distinct = distinct & keep(center, neighbors[:, :, None], neighbors[:, None, :])
    pairs = distinct.to(weights.dtype)
    columns = torch.split(weights, geometry.max_n, dim=-1)
    polynomials = legendre(cosine, geometry.max_l)
    return torch.cat([(p * pairs) @ w for p, w in zip(polynomials, columns, strict=True)], dim=-1)


def survives(center: Tensor, j: Tensor, k: Tensor, form: ThreeBodyForm) -> Tensor:
    """Which triplets (j, i, k) a seeded pruning keeps; the same on every machine and layout.

    A hash of the atom indices stands in for a random number, so that an exported graph and its
    reference drop the same triplets. All images of a pair share one fate.

    Args:
        center: Index i of the centre, integers, any shape that broadcasts with the others.
        j: Index of the atom at the end of the edge that receives the message.
        k: Index of the other end atom.
        form: It has the fraction and the seed.

    Returns:
        True where the triplet is kept.
    """
    prime = 1_000_003
    state = (center * 73_856_093 + j * 19_349_663 + k * 83_492_791 + form.seed * 49_979_687) % prime
    for _ in range(2):
        state = (state * state + 12_345 * state + 67_891) % prime
    return state >= form.fraction * prime


def misrouted_sum(geometry: TripletGeometry, gate: Tensor | None, form: ThreeBodyForm) -> Tensor:
    """The three-body sum of matgl before 4.1: positions in the pruned list address the full one.

    Angles and lengths come from the pruned list; the tapers, the gate's atom and the edge that
    receives the message come from the same positions of the full list (matgl 2.0.4,
    ``layers/_three_body.py`` and ``graph/_compute_dgl.py``). The result depends on the edge order.
    """
    graph = geometry.graph
    if not isinstance(graph, EdgeGraph):
        raise ExportError("misrouted triplets exist only for parity checks on edge lists")
    pruned = torch.nonzero(geometry.inside).squeeze(-1)
    owners = graph.centers[pruned]
    a, b = list_triplets(owners, torch.ones_like(pruned, dtype=torch.bool))
    if form.fraction > 0:
        keep = survives(owners[a], graph.neighbors[pruned[a]], graph.neighbors[pruned[b]], form)
        a, b = a[keep], b[keep]
    cosine = (geometry.unit[pruned[a]] * geometry.unit[pruned[b]]).sum(-1, keepdim=True)
    terms = geometry.radial[pruned[b]] * geometry.taper[a] * geometry.taper[b]
    if gate is not None:
        terms = terms * gate[graph.neighbors[b]]
    terms = _times_legendre(terms, cosine, geometry.max_l) * geometry.norms
    return torch.zeros_like(geometry.radial).index_add(0, _misrouted_targets(owners)[a], terms)


def _misrouted_targets(owners: Tensor) -> Tensor:
    """Row of the full list to which the sum of each pruned edge is added.

    matgl expands counts of triplets per edge into row numbers and skips counts of zero, so that
    every edge that is alone at its centre moves all later rows up by one; of a run of lone edges
    at the very start, one still counts (matgl 2.0.4, ``utils/maths.py``,
    ``get_segment_indices_from_n``).

    Args:
        owners: Centre of every pruned edge, sorted, shape (n_pruned,).
    """
    position = torch.arange(len(owners), device=owners.device)
    if not len(owners):
        return position
    lone = (torch.bincount(owners)[owners] == 1).to(torch.int64)
    before = torch.cumsum(lone, 0) - lone
    return torch.clamp(position - before + lone[0], max=len(owners) - 1, min=0)


#: How each form of :data:`m3compress.contract.forms.FORMS` is summed; None where no block is left.
SUMS: Final[dict[str, Sum | None]] = {
    "triplets": triplet_sum,
    "misrouted": misrouted_sum,
    "factorized": factorized_sum,
    "pruned": pruned_sum,
    "removed": None,
}
