"""ONNX Runtime and PyTorch on a GPU; without one, a stand-in shows how a session is opened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from ase import Atoms

from m3compress import Calculator
from m3compress.contract.forms import FACTORIZED
from m3compress.engines.runtimes import onnxruntime as engine
from m3compress.errors import MissingDependencyError
from m3compress.models.potential import Potential

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
REAL = onnxruntime.InferenceSession
STRUCTURES = ("triclinic", "salt", "molecule", "isolated", "triclinic")


class Session:
    """A session on the CPU that says it is one on a GPU."""

    opened: Any
    starts = True

    def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
        Session.opened = self
        self.options, self.providers = options, providers
        self.shrunk: list[str] = []
        self.real = REAL(path, providers=[CPU])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_providers(self):
        return [CUDA, CPU] if self.starts else [CPU]

    def run(self, names, feed, options=None):
        if options is not None:
            key = "memory.enable_memory_arena_shrinkage"
            self.shrunk.append(options.get_run_config_entry(key))
        return self.real.run(names, feed)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """ONNX Runtime with the stand-in; how often libraries were looked for."""
    calls: list[str] = []

    def preload() -> None:
        calls.append("preload")
        sys.stdout.write("Failed to load libcudnn.so.9\n")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    monkeypatch.setattr(Session, "starts", True)
    engine._load_cuda_libraries.cache_clear()
    return calls


def test_libraries_of_pip_are_found_and_stdout_stays_clean(
    artefact: Path, loaded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        Calculator(artefact, device="cuda")
    assert loaded == ["preload"]
    written = capsys.readouterr()
    assert not written.out
    assert "libcudnn" in written.err


def test_an_onnxruntime_that_cannot_look_for_libraries(
    artefact: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(onnxruntime, "preload_dlls")
    assert Calculator(artefact, device="cuda").engine.description.endswith(", cuda")


def test_memory_of_the_gpu_is_taken_as_needed_and_given_back(
    artefact: Path, loaded: list[str], structures: dict[str, Atoms]
) -> None:
    calculator = Calculator(artefact, device="cuda")
    for structure in (structures["isolated"], structures["salt"], structures["isolated"]):
        calculator.evaluate(structure)
    (name, options), fallback = Session.opened.providers
    assert (name, fallback) == (CUDA, CPU)
    assert options == {"use_tf32": 0, "arena_extend_strategy": "kSameAsRequested"}
    assert Session.opened.shrunk == ["gpu:0"]


def test_a_provider_that_does_not_start_is_no_silent_cpu(
    artefact: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "starts", False)
    with pytest.raises(MissingDependencyError, match="did not start"):
        Calculator(artefact, device="cuda")


@pytest.mark.gpu
def test_onnx_runtime_on_a_gpu(
    artefact: Path, calculator: Calculator, structures: dict[str, Atoms]
) -> None:
    try:
        on_gpu = Calculator(artefact, device="cuda")
    except MissingDependencyError as error:
        pytest.skip(str(error))
    for name in STRUCTURES:
        expected, got = calculator.evaluate(structures[name]), on_gpu.evaluate(structures[name])
        again = on_gpu.evaluate(structures[name])
        assert got.energy == pytest.approx(expected.energy, abs=1e-4)
        np.testing.assert_allclose(got.forces, expected.forces, atol=5e-5)
        np.testing.assert_allclose(got.virial, expected.virial, atol=1e-3)
        np.testing.assert_array_equal(got.forces, again.forces)


@pytest.mark.gpu
@pytest.mark.parametrize("form", ["as written", "factorised"])
def test_pytorch_on_a_gpu(form: str, potential: Potential, structures: dict[str, Atoms]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    here = potential if form == "as written" else potential.with_form(FACTORIZED)
    there = here.to(torch.float64)
    there.network.to("cuda")
    for name in STRUCTURES:
        expected, got = here.evaluate(structures[name]), there.evaluate(structures[name])
        assert got.energy == pytest.approx(expected.energy, abs=1e-9)
        np.testing.assert_allclose(got.forces, expected.forces, atol=1e-10)
        np.testing.assert_allclose(got.virial, expected.virial, atol=1e-9)
