"""Optimisers by name: SOAP, which learns faster per second of a small network, and Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from m3compress.distill.training.soap import Soap

OptimizerName = Literal["soap", "adam"]
_Maker = Callable[[Iterable[Parameter], float], Optimizer]


_MAKERS: Final[Mapping[OptimizerName, _Maker]] = {"soap": Soap, "adam": torch.optim.Adam}


def make_optimizer(
    name: OptimizerName, parameters: Iterable[Parameter], learning_rate: float
) -> Optimizer:
    """An optimiser before its first step.

    Args:
        name: Which one; there is no fallback, since another optimiser is another result.
        parameters: What it changes.
        learning_rate: Until a schedule sets it.
    """
    return _MAKERS[name](parameters, learning_rate)
