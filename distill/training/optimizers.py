"""Optimisers by name: SOAP, which learns faster per second of a small network, and Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

OptimizerName = Literal["soap", "adam"]
_Maker = Callable[[Iterable[Parameter], float], Optimizer]


def _soap(parameters: Iterable[Parameter], learning_rate: float) -> Optimizer:
    """Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., arXiv:2409.11321)."""
    from pytorch_optimizer import SOAP

    optimizer: Optimizer = SOAP(parameters, lr=learning_rate, weight_decay=0.0)
    return optimizer


def _adam(parameters: Iterable[Parameter], learning_rate: float) -> Optimizer:
    return torch.optim.Adam(parameters, lr=learning_rate)


_MAKERS: Final[Mapping[OptimizerName, _Maker]] = {"soap": _soap, "adam": _adam}


def make_optimizer(
    name: OptimizerName, parameters: Iterable[Parameter], learning_rate: float
) -> Optimizer:
    """An optimiser before its first step.

    Args:
        name: Which one; there is no fallback, since another optimiser is another result.
        parameters: What it changes.
        learning_rate: Until a schedule sets it.

    Raises:
        ImportError: If its package is not installed.
    """
    return _MAKERS[name](parameters, learning_rate)
