"""SOAP (Vyas et al., arXiv:2409.11321): Adam in the eigenbasis of Shampoo's preconditioner.

A small network has some forty small weights, and most of what an optimiser takes for each of them
is the calling of its operations. Here weights of equal shape are stacked, and an operation is
called once for all of a stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast, overload

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer


class Soap(Optimizer):
    """Weights with two axes are preconditioned along both; others get the steps of Adam.

    As in the code of its authors, the first gradient decides the first eigenbasis and nothing else.

    Args:
        parameters: What it changes.
        lr: Learning rate.
        decays: Of the running means of gradients, and of their squares and outer products.
        refresh: Steps after which the eigenbasis follows the outer products, by one iteration.
        epsilon: Added to the root of the mean square.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        decays: tuple[float, float] = (0.95, 0.95),
        refresh: int = 10,
        epsilon: float = 1e-8,
    ) -> None:
        how = {"lr": lr, "decays": decays, "refresh": refresh, "epsilon": epsilon, "steps": 0}
        super().__init__(parameters, how)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; a weight without a gradient counts as one whose gradient is zero."""
        loss = None if closure is None else closure()
        with torch.no_grad():
            for group in self.param_groups:
                for stack in _stacks(group["params"]):
                    self._move(stack, group)
                group["steps"] += 1
        return loss

    def _move(self, weights: list[Tensor], group: Mapping[str, Any]) -> None:
        """A step of all weights of one shape; their state is that of the first one."""
        gradient = torch.stack([torch.zeros_like(w) if w.grad is None else w.grad for w in weights])
        state = cast("dict[str, Any]", self.state[weights[0]])
        mean_decay, decay = group["decays"]
        if not state:
            state.update(_begun(gradient, decay))
            return
        steps = group["steps"]
        bases: list[Tensor] = state["bases"]
        state["mean"].lerp_(gradient, 1 - mean_decay)
        state["square"].lerp_(_into(gradient, bases).square_(), 1 - decay)
        root = state["square"].sqrt().add_(group["epsilon"])
        update = _out_of(_into(state["mean"], bases) / root, bases)
        rate = group["lr"] * math.sqrt(1 - decay**steps) / (1 - mean_decay**steps)
        torch._foreach_add_(weights, list(update.unbind()), alpha=-rate)
        for gram, product in zip(state["grams"], _outer_products(gradient), strict=True):
            gram.lerp_(product, 1 - decay)
        if steps % group["refresh"] == 0:
            for axis in range(len(bases)):
                bases[axis] = _refreshed(state, axis)


def _stacks(weights: Iterable[Tensor]) -> list[list[Tensor]]:
    """Weights by shape, in the order in which the shapes come."""
    stacks: dict[torch.Size, list[Tensor]] = {}
    for weight in weights:
        stacks.setdefault(weight.shape, []).append(weight)
    return list(stacks.values())


def _begun(gradient: Tensor, decay: float) -> dict[str, Any]:
    """State of a stack after its first gradient, shape (n_weights, ...)."""
    grams = [(1 - decay) * product for product in _outer_products(gradient)]
    return {
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
        "grams": grams,
        "bases": [torch.linalg.eigh(gram).eigenvectors.flip(-1) for gram in grams],
    }


def _outer_products(gradient: Tensor) -> list[Tensor]:
    """G Gᵀ and Gᵀ G of weights with two axes, (n_weights, a, a) and (n_weights, b, b)."""
    return [gradient @ gradient.mT, gradient.mT @ gradient] if gradient.dim() == 3 else []


def _into(values: Tensor, bases: list[Tensor]) -> Tensor:
    """Values in the eigenbasis; a new tensor."""
    return bases[0].mT @ values @ bases[1] if bases else values.clone()


def _out_of(values: Tensor, bases: list[Tensor]) -> Tensor:
    """Inverse of :func:`_into`."""
    return bases[0] @ values @ bases[1].mT if bases else values


def _refreshed(state: Mapping[str, Any], axis: int) -> Tensor:
    """The eigenbasis after an iteration, largest first; the mean squares follow its order."""
    basis = state["bases"][axis]
    grown = state["grams"][axis] @ basis
    order = (basis * grown).sum(-2).argsort(dim=-1, descending=True)
    square: Tensor = state["square"]
    along = order.unsqueeze(2 - axis).expand_as(square)
    square.copy_(square.gather(1 + axis, along))
    turned: Tensor = torch.linalg.qr(grown.gather(2, order.unsqueeze(1).expand_as(grown))).Q
    return turned
