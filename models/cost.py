"""What one step costs, counted from the sizes of a network."""

from __future__ import annotations

from itertools import pairwise
from math import pi
from typing import Final

from m3compress.models.config import M3GNetConfig
from m3compress.models.potential import Potential

#: Atoms per Å³ of a typical dense oxide (rutile TiO2: 0.0961), for neighbours per atom.
TYPICAL_DENSITY: Final = 0.096

_BYTES: Final = 4
_FLOPS_PER_MULTIPLY_ADD: Final = 2
#: The backward pass to the positions repeats every product once; weights need no gradient.
_FORWARD_AND_BACKWARD: Final = 2


def edges_per_atom(config: M3GNetConfig) -> float:
    """Neighbours within the cutoff at the typical density."""
    return 4 / 3 * pi * config.cutoff**3 * TYPICAL_DENSITY


def multiply_adds_per_edge(config: M3GNetConfig) -> int:
    """Multiply-adds of one forward pass along one edge, without the three-body block.

    The first layers of the gated MLPs count with their edge part only: the parts of the two atoms
    are applied per atom (:meth:`m3compress.models.network.GatedMLP.on_edges`).
    """
    total = config.edge_basis_size * config.edge_width
    for out in (config.edge_width, config.node_width):
        widths = (config.edge_width, *config.hidden, out)
        branch = sum(a * b for a, b in pairwise(widths))
        total += config.n_blocks * (2 * branch + config.edge_basis_size * out)
    return total


def three_body_multiply_adds_per_edge(config: M3GNetConfig) -> int:
    """The same for the factorised block: two products with moments, two narrow layers."""
    size, harmonics = config.triplet_basis_size, config.max_l**2
    return config.n_blocks * (2 * harmonics * size + 2 * size * config.edge_width)


def kept_values_per_edge(config: M3GNetConfig) -> int:
    """Numbers per edge that the backward pass needs (:mod:`m3compress.export.onnx.recompute`)."""
    hidden = 2 * sum(config.hidden)
    per_update = hidden + config.edge_width + config.node_width
    return config.n_blocks * (2 * per_update + config.edge_width)


def cost_of(potential: Potential) -> dict[str, float]:
    """Parameters, and arithmetic and memory per atom and step at a typical density.

    Returns:
        ``parameters``, ``edges_per_atom``, ``flops_per_atom`` (energy and forces, factorised),
        ``three_body_flops_per_atom`` and ``bytes_per_atom`` (float32, what the backward pass
        keeps).
    """
    config = potential.config
    edges = edges_per_atom(config)
    factor = _FLOPS_PER_MULTIPLY_ADD * _FORWARD_AND_BACKWARD * edges
    three_body = three_body_multiply_adds_per_edge(config) * factor
    return {
        "parameters": sum(p.numel() for p in potential.network.parameters()),
        "edges_per_atom": edges,
        "flops_per_atom": multiply_adds_per_edge(config) * factor + three_body,
        "three_body_flops_per_atom": three_body,
        "bytes_per_atom": kept_values_per_edge(config) * edges * _BYTES,
    }
