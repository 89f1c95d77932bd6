"""Sizes and weights of small untrained networks, with forces of some eV/Å."""

from __future__ import annotations

from typing import Any, Final

import torch

#: A small network in the shape of the original M3GNet; edge and node widths differ on purpose.
SMALL: Final[dict[str, Any]] = {
    "cutoff": 5.0,
    "three_body_cutoff": 4.0,
    "max_n": 3,
    "max_l": 3,
    "n_blocks": 2,
    "node_width": 10,
    "edge_width": 12,
    "hidden": (16,),
    "readout_hidden": (16, 16),
    "edge_basis": "smooth",
    "triplet_basis": "bessel",
    "edge_bias": False,
    "message_activation": "silu",
}


def randomize(network: torch.nn.Module, seed: int) -> None:
    """Weights of about unit gain; more in the three-body block, which is otherwise a correction."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            gain = 4.0 if "three_body" in name else 1.5
            if "embedding" in name and parameter.ndim == 2 and "edge" not in name:
                scale = 1.0
            else:
                scale = gain / parameter.shape[1] ** 0.5 if parameter.ndim == 2 else 0.3
            parameter.copy_(drawn * scale)
