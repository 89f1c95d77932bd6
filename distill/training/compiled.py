"""The whole training step (loss and its gradient by the weights) as one compiled function.

The loss contains forces, so its gradient is a second derivative, which ``torch.compile`` does not
differentiate through. Here the step is traced down to plain tensor operations first, derivatives
included; the compiler then fuses the element-wise operations of every SiLU. About twice as fast as
eager on a CPU, after some minutes of compiling, which are cached on disk.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields

import torch
from torch import Tensor
from torch.func import functional_call
from torch.fx.experimental import _config as symbolic_shapes
from torch.fx.experimental.proxy_tensor import make_fx

from m3compress.contract.forms import ThreeBodyForm
from m3compress.distill.data.batches import Batch
from m3compress.distill.training.step import Loss, Step, eager_step
from m3compress.errors import M3CompressError
from m3compress.models.graph import Graph
from m3compress.models.network import M3GNet

_FIELDS = tuple(field.name for field in fields(Batch))


def compiler() -> str | None:
    """The C++ compiler that would be used; None if there is none."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))


def compile_step(network: M3GNet, loss: Loss, example: Batch) -> Step:
    """Trace and compile a training step.

    Args:
        network: The network; the step reads its current weights at every call.
        loss: Of a network on a batch.
        example: A batch to trace with; its sizes must differ from each other and from the widths of
            the network. A step that was traced with one structure takes no others.

    Raises:
        M3CompressError: If there is no compiler.
    """
    if compiler() is None:
        raise M3CompressError(
            "compiling the steps of a training needs a C++ compiler, and there is none",
            hint="install g++, name one by CXX, or set `compiled = false` in [training]",
        )
    weights, few = list(network.parameters()), eager_step(network, loss)
    with _independent_sizes():
        trace = make_fx(
            _plain_step(network, loss), tracing_mode="symbolic", _allow_non_fake_inputs=True
        )(weights, _values(example))
        # With more threads, PyTorch 2.13 cannot compile all sums over edges, and runs others into
        # memory that is not theirs.
        compiled = torch.compile(trace, dynamic=True, options={"cpp.threads": 1})

    def run(batch: Batch) -> tuple[Tensor, ...]:
        # Sizes of zero and one are compiled anew, for minutes; a pair beyond the cutoff has none.
        if len(batch.centers) <= 1:
            return few(batch)
        # The compiler works in the first call, and again in any later one that it did not foresee.
        with _independent_sizes(), torch.no_grad():
            results: tuple[Tensor, ...] = compiled([w.detach() for w in weights], _values(batch))
        return results

    run(example)
    return run


def _independent_sizes() -> AbstractContextManager[None]:
    """While this lasts, two sizes that happen to be equal in the example are not the same size."""
    patched: AbstractContextManager[None]
    patched = symbolic_shapes.patch(use_duck_shape=False)  # type: ignore[attr-defined]
    return patched


def _plain_step(
    network: M3GNet, loss: Loss
) -> Callable[[list[Tensor], list[Tensor]], tuple[Tensor, ...]]:
    """The step as a function of tensors: weights and fields of a batch → loss and gradients."""
    names = [name for name, _ in network.named_parameters()]

    def step(weights: list[Tensor], values: list[Tensor]) -> tuple[Tensor, ...]:
        named = dict(zip(names, weights, strict=True))

        def function(graph: Graph, species: Tensor, form: ThreeBodyForm) -> Tensor:
            energies: Tensor = functional_call(network, named, (graph, species, form))
            return energies

        value = loss(function, Batch(**dict(zip(_FIELDS, values, strict=True))))
        return (value, *torch.autograd.grad(value, weights, materialize_grads=True))

    return step


def _values(batch: Batch) -> list[Tensor]:
    return [getattr(batch, name) for name in _FIELDS]
