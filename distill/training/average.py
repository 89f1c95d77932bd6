"""Running average of the weights: what a training hands over in place of its last step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential average of the weights that forgets the first steps quickly.

    Args:
        network: Starts the average.
        decay: Of the average at each step; step n keeps at most (1 + n) / (10 + n) of it.
    """

    def update(averages: _Tensors, currents: _Tensors, count: Tensor | int) -> None:
        kept = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        with torch.no_grad():
            torch._foreach_lerp_(averages, currents, 1.0 - kept)

    return AveragedModel(network, multi_avg_fn=update)
