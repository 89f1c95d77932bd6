"""One step of a training: the loss of a batch and its gradient by the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from m3compress.distill.data.batches import Batch, NetworkFunction
from m3compress.models.network import M3GNet

#: Differentiable loss of a network on a batch.
Loss = Callable[[NetworkFunction, Batch], Tensor]
#: A batch → its loss and the gradients in the order of ``network.parameters()``.
Step = Callable[[Batch], tuple[Tensor, ...]]


def eager_step(network: M3GNet, loss: Loss) -> Step:
    """A step as PyTorch runs it; half as fast as a compiled one, and ready at once.

    Args:
        network: The network; the step reads its current weights at every call.
        loss: Of a network on a batch.
    """

    def step(batch: Batch) -> tuple[Tensor, ...]:
        value = loss(network, batch)
        weights = list(network.parameters())
        # Those of a three-body block that is left out have no part in it.
        gradients = torch.autograd.grad(value, weights, materialize_grads=True)
        return (value.detach(), *gradients)

    return step
