"""TensorRT-RTX parses and builds without a GPU; running an engine needs one."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable

import onnx
import pytest

from m3compress.contract.forms import FACTORIZED, REMOVED, ThreeBodyForm
from m3compress.errors import MissingDependencyError
from m3compress.export import tensorrt as trt
from m3compress.models.potential import Potential

BACKEND = "tensorrt-rtx"


@pytest.fixture(autouse=True)
def _needs_tensorrt(request: pytest.FixtureRequest) -> None:
    if "missing" in request.node.name:
        return
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        message = "tensorrt-rtx-cu13-bindings is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.mark.parametrize("form", [FACTORIZED, REMOVED], ids=str)
def test_every_node_is_supported_and_an_engine_is_built(
    builtin: Potential, traced: Callable[..., onnx.ModelProto], form: ThreeBodyForm
) -> None:
    content = traced(builtin.with_form(form)).SerializeToString()
    assert trt.unsupported_nodes(content, BACKEND) == []
    engine = trt.build_engine(content, backend=BACKEND, profiles=(trt.profile_up_to(200),))
    assert engine.backend == BACKEND
    assert len(engine.plan) > 100_000


def test_mixed_precision_parses(builtin: Potential, traced: Callable[..., onnx.ModelProto]) -> None:
    model = traced(builtin.with_form(FACTORIZED), "mixed")
    assert trt.unsupported_nodes(model.SerializeToString(), BACKEND) == []


def test_missing_tensorrt_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as caught:
        trt.find_builder()
    assert "pip install" in (caught.value.hint or "")
