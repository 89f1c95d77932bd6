"""Small functions, traced and lowered as a potential is, and run beside PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, fx

from m3compress.export.onnx.lowering import lower
from m3compress.export.trace import record

#: Sizes of the trace, then sizes that it has never seen.
TRACED, *OTHERS = ({"n": 5, "k": 3}, {"n": 8, "k": 6}, {"n": 2, "k": 7})
RTOL = {torch.float16: 2e-3, torch.float32: 2e-6, torch.float64: 1e-12}

#: What a specification such as ``n k 4:index`` is filled with.
_FILLED: dict[str, Callable[[Sequence[int], torch.Generator], Tensor]] = {
    "float": lambda shape, g: torch.randn(shape, generator=g),
    "half": lambda shape, g: torch.randn(shape, generator=g).half(),
    "double": lambda shape, g: torch.randn(shape, generator=g, dtype=torch.float64),
    "bfloat": lambda shape, g: torch.randn(shape, generator=g).bfloat16(),
    "positive": lambda shape, g: torch.rand(shape, generator=g) + 0.5,
    "int": lambda shape, g: torch.randint(-9, 10, shape, generator=g),
    "index": lambda shape, g: torch.randint(0, 2, shape, generator=g),
    "bool": lambda shape, g: torch.randint(0, 2, shape, generator=g).bool(),
}


def filled(specs: Sequence[str], sizes: dict[str, int], seed: int = 0) -> list[Tensor]:
    """Random tensors: ``n k 4:int`` is an int64 tensor of shape (n, k, 4)."""
    generator = torch.Generator().manual_seed(seed)
    tensors = []
    for spec in specs:
        dims, _, kind = spec.partition(":")
        shape = [sizes[d] if d in sizes else int(d) for d in dims.split()]
        tensors.append(_FILLED[kind or "float"](shape, generator))
    return tensors


def dimensions(spec: str) -> tuple[str | int, ...]:
    return tuple(int(d) if d.isdigit() else d for d in spec.partition(":")[0].split())


@dataclass(frozen=True)
class Lowered:
    """A function and the model that was made of it."""

    function: Callable[..., Any]
    specs: tuple[str, ...]
    module: fx.GraphModule
    operators: frozenset[Any]
    model: onnx.ModelProto

    @property
    def ops(self) -> Counter[str]:
        """How often each ONNX operator occurs, without those that only name the outputs."""
        counts = Counter(node.op_type for node in self.model.graph.node)
        counts["Identity"] -= len(self.model.graph.output)
        return +counts

    def run(self, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        known = {value.name for value in session.get_inputs()}
        names = [f"input{i}" for i in range(len(inputs))]
        feed = {n: t.numpy() for n, t in zip(names, inputs, strict=True) if n in known}
        return session.run(None, feed)

    def check(self) -> None:
        """Same types, shapes and numbers as PyTorch, at the traced sizes and at others."""
        for seed, sizes in enumerate((TRACED, *OTHERS)):
            inputs = filled(self.specs, sizes, seed)
            expected = self.function(*(tensor.clone() for tensor in inputs))
            expected = expected if isinstance(expected, tuple | list) else (expected,)
            for got, wanted in zip(self.run(inputs), expected, strict=True):
                same_numbers(got, wanted.detach())


def same_numbers(got: np.ndarray, wanted: Tensor) -> None:
    assert got.dtype == wanted.numpy().dtype
    assert got.shape == tuple(wanted.shape)
    rtol = RTOL.get(wanted.dtype, 0.0)
    largest = float(wanted.double().abs().max()) if wanted.numel() else 0.0
    np.testing.assert_allclose(got, wanted.numpy(), rtol=rtol, atol=rtol * largest)


def lower_function(function: Callable[..., Any], *specs: str) -> Lowered:
    def with_fixed_sizes(*inputs: Tensor) -> Any:
        for tensor, spec in zip(inputs, specs, strict=True):
            for axis, size in enumerate(dimensions(spec)):
                if isinstance(size, int):
                    int(tensor.shape[axis])  # the trace may count on it
        return function(*inputs)

    module = record(with_fixed_sizes, *filled(specs, TRACED))
    operators = frozenset(node.target for node in module.graph.nodes if node.op == "call_function")
    results = module.graph.output_node().args[0]
    if isinstance(results, fx.Node):  # one tensor; exported functions return several
        module.graph.output_node().args = ((results,),)
        results = (results,)
    outputs = {
        f"output{i}": tuple(f"output{i}_{axis}" for axis in range(result.meta["val"].dim()))
        for i, result in enumerate(results)
    }
    inputs = {f"input{i}": dimensions(spec) for i, spec in enumerate(specs)}
    return Lowered(function, specs, module, operators, lower(module, inputs, outputs))


@pytest.fixture(scope="session", name="lower_function")
def lower_function_fixture() -> Callable[..., Lowered]:
    """Trace a function of tensors of the given specifications, and lower it."""
    return lower_function
