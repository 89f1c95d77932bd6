"""What can be tested without a GPU; stand-ins play TensorRT and CUDA on the host's memory."""

# ruff: noqa: N802, N815 - the names are those of CUDA

from __future__ import annotations

import ctypes
import enum
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from ase import Atoms

from m3compress import Calculator
from m3compress.__main__ import main
from m3compress.contract.manifest import OUTPUT_NAMES
from m3compress.engines.artefact import load_artefact
from m3compress.engines.runtimes.tensorrt import TensorRTEngine, choose_profile
from m3compress.errors import ArtefactError, M3CompressError, MissingDependencyError, StructureError

SMALL = {"edge_vectors": ((1, 1, 3), (8, 40, 3)), "species": ((1,), (8,))}
LARGE = {"edge_vectors": ((1, 1, 3), (100, 96, 3)), "species": ((1,), (100,))}


class Status(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorNoDevice = 100


class FakeCuda(ModuleType):
    """The CUDA runtime with host memory as the GPU's."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)

    def __init__(self, n_devices: int = 1) -> None:
        super().__init__("cuda.bindings.runtime")
        self.n_devices = n_devices
        self.memory: dict[int, Any] = {}
        self.capacity = 10**9

    def cudaGetDeviceCount(self):
        status = Status.cudaSuccess if self.n_devices else Status.cudaErrorNoDevice
        return status, self.n_devices

    def cudaStreamCreate(self):
        return Status.cudaSuccess, 7

    def cudaMalloc(self, size):
        if size > self.capacity:
            return Status.cudaErrorNoDevice, None
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return Status.cudaSuccess, ctypes.addressof(block)

    def cudaFree(self, pointer):
        del self.memory[pointer]
        return (Status.cudaSuccess,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert stream == 7
        device = target if kind == 1 else source
        assert size <= len(self.memory[device])
        ctypes.memmove(target, source, size)
        return (Status.cudaSuccess,)

    def cudaStreamSynchronize(self, stream):
        return (Status.cudaSuccess,)

    def cudaGetErrorString(self, status):
        return Status.cudaSuccess, b"out of memory"


class FakeEngine:
    """ICudaEngine and IExecutionContext in one; the plan is an ONNX file, run on the CPU."""

    num_optimization_profiles = 2

    def __init__(self, content: bytes) -> None:
        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.num_io_tensors = len(self.inputs) + 3
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.profile = 0

    def get_tensor_name(self, index):
        return [*self.inputs, *OUTPUT_NAMES][index]

    def get_tensor_dtype(self, name):
        return np.int64 if name in ("species", "neighbors", "incoming") else np.float32

    def get_tensor_profile_shape(self, name, index):
        rank = {"species": 1, "edge_vectors": 3}.get(name, 2)
        low = [[1], [1, 1], [1, 1, 3]][rank - 1]
        high = [[[8], [8, 60], [8, 60, 3]], [[99], [99, 96], [99, 96, 3]]][index][rank - 1]
        return [low, high, high]

    def create_execution_context(self):
        return self

    def set_optimization_profile_async(self, index, stream):
        self.profile = index
        return True

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape

    def set_tensor_address(self, name, pointer):
        self.addresses[name] = pointer

    def get_tensor_shape(self, name):
        n = self.shapes["species"][0]
        return {"energies": (n,), "forces": (n, 3), "virial": (n, 3, 3)}[name]

    def execute_async_v3(self, stream):
        assert stream == 7
        assert self.shapes["species"][0] <= (8, 99)[self.profile]
        feed = {name: self._view(name, self.shapes[name]) for name in self.inputs}
        for name, array in zip(OUTPUT_NAMES, self.session.run(OUTPUT_NAMES, feed), strict=True):
            self._view(name, array.shape)[...] = array
        return True

    def _view(self, name, shape):
        dtype = np.dtype(self.get_tensor_dtype(name))
        size = int(np.prod(shape)) * dtype.itemsize
        block = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.frombuffer(block, dtype).reshape(shape)


def fake_tensorrt(engine: Any) -> ModuleType:
    module = ModuleType("tensorrt_rtx")
    module.__version__ = "1.7"
    module.ILogger = type("ILogger", (), {"ERROR": 1})
    module.nptype = lambda dtype: dtype

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, content):
            opened = engine(content)
            self.logger.log(3, "Loaded engine size: 1 MiB")
            if opened is None:
                self.logger.log(1, "compute capability 9.0 is not supported")
                self.logger.log(1, "and so on")
            return opened

    module.Runtime = Runtime
    return module


@pytest.fixture
def plan(artefact: Path, tmp_path: Path) -> Path:
    """A plan for the stand-ins: the ONNX file under another name."""
    path = tmp_path / "model.m3c.sm90-1.7.plan"
    shutil.copyfile(artefact, path)
    document = json.loads(artefact.with_suffix(".json").read_text(encoding="utf-8"))
    document["backend"] = "tensorrt-rtx"
    path.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", fake)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake_tensorrt(FakeEngine))
    return fake


def test_same_numbers_as_the_onnx_file(
    plan: Path, cuda: FakeCuda, calculator: Calculator, structures: dict[str, Atoms]
) -> None:
    on_gpu = Calculator(plan, device="cuda")
    assert isinstance(on_gpu.engine, TensorRTEngine)
    for name in ("triclinic", "salt", "molecule", "isolated", "triclinic"):
        expected, got = calculator.evaluate(structures[name]), on_gpu.evaluate(structures[name])
        assert got.energy == pytest.approx(expected.energy, abs=1e-4)
        np.testing.assert_allclose(got.forces, expected.forces, atol=1e-5)
        np.testing.assert_allclose(got.virial, expected.virial, atol=1e-3)
    assert len(cuda.memory) == 6 + 3
    on_gpu.engine.close()
    assert not cuda.memory
    assert on_gpu.engine.description == "TensorRT-RTX 1.7, cuda"


def test_a_structure_too_large_for_the_plan(
    plan: Path, cuda: FakeCuda, structures: dict[str, Atoms]
) -> None:
    calculator = Calculator(plan.with_suffix(".json"), device="cuda")
    with pytest.raises(StructureError, match=r"\(128, \d+, 3\), the plan was built for"):
        calculator.evaluate(structures["salt"].repeat((2, 1, 1)))


def test_no_memory_on_the_gpu(plan: Path, cuda: FakeCuda, structures: dict[str, Atoms]) -> None:
    calculator = Calculator(plan, device="cuda")
    cuda.capacity = 1000
    with pytest.raises(M3CompressError, match="out of memory"):
        calculator.evaluate(structures["salt"])


def test_a_plan_of_another_version(
    plan: Path, cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake_tensorrt(lambda content: None))
    expected = (
        r"tensorrt_rtx 1\.7 cannot load model\.m3c.*: compute capability 9\.0 is not supported"
    )
    with pytest.raises(ArtefactError, match=expected):
        Calculator(plan, device="cuda")


def test_a_run_that_fails(
    plan: Path, cuda: FakeCuda, structures: dict[str, Atoms], monkeypatch: pytest.MonkeyPatch
) -> None:
    calculator = Calculator(plan, device="cuda")
    monkeypatch.setattr(FakeEngine, "execute_async_v3", lambda self, stream: False)
    with pytest.raises(M3CompressError, match="TensorRT failed: it does not say why"):
        calculator.evaluate(structures["salt"])


def test_the_real_bindings_say_why_they_load_no_plan(
    plan: Path, cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", trt)
    with pytest.raises(ArtefactError, match="deserializeCudaEngine"):
        Calculator(plan, device="cuda")


def test_no_gpu(plan: Path, cuda: FakeCuda) -> None:
    cuda.n_devices = 0
    with pytest.raises(MissingDependencyError, match="cudaErrorNoDevice"):
        Calculator(plan, device="cuda")


def test_no_cuda_bindings(plan: Path, cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(MissingDependencyError, match="cuda-bindings") as caught:
        Calculator(plan, device="cuda")
    assert caught.value.hint


def test_no_tensorrt(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match="tensorrt-rtx") as caught:
        Calculator(plan, device="cuda")
    assert "m3compress[tensorrt]" in str(caught.value.hint)


def test_a_plan_does_not_run_on_the_cpu(plan: Path) -> None:
    with pytest.raises(ArtefactError, match="GPUs only"):
        Calculator(plan)


PARITY = {
    "reference": "PyTorch, triplets, float64",
    "rows": [
        {
            "structure": "silicon",
            "n_atoms": 2,
            "energy_error": 1e-7,
            "energy_limit": 5e-6,
            "force_error": 2e-6,
            "force_limit": 5e-5,
            "stress_error": None,
        }
    ],
    "passed": True,
}


def edit(plan: Path, **changes: object) -> None:
    beside = plan.with_suffix(".json")
    document = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps(document | changes), encoding="utf-8")


def test_a_plan_never_earns_the_parity_of_its_graph(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As written before engines were named.
    edit(plan, parity=PARITY)
    manifest = load_artefact(plan).manifest
    assert manifest.parity is None
    assert manifest.graph_parity is not None
    assert manifest.graph_parity.engine == "ONNX Runtime, cpu"
    assert run("inspect", str(plan)) == 0
    shown = capsys.readouterr().out
    assert "not measured; the graph it was built from: passed in ONNX Runtime, cpu" in shown


def test_a_plan_that_was_run_says_in_what(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(plan, parity=PARITY | {"engine": "TensorRT-RTX 1.7, cuda"})
    assert run("inspect", str(plan)) == 0
    assert "passed in TensorRT-RTX 1.7, cuda: 1 structures" in capsys.readouterr().out


def test_a_plan_without_any_parity(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", str(plan)) == 0
    assert "parity     not measured\n" in capsys.readouterr().out


def test_a_plan_is_not_timed_on_the_cpu(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", str(plan)) == 2
    assert "--device cuda" in capsys.readouterr().err


def run(*arguments: str) -> int:
    """Exit code of the command line in this process."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_tightest_profile_is_chosen() -> None:
    small = {"edge_vectors": (4, 40, 3), "species": (4,)}
    assert choose_profile([LARGE, SMALL], small) == 1
    assert choose_profile([SMALL, LARGE], {"edge_vectors": (9, 40, 3), "species": (9,)}) == 1
    with pytest.raises(StructureError, match="built for"):
        choose_profile([SMALL], {"edge_vectors": (9, 40, 3), "species": (9,)})


def test_the_real_bindings_have_what_is_called() -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings")
    for name in ("set_input_shape", "get_tensor_shape", "set_tensor_address", "execute_async_v3",
                 "set_optimization_profile_async"):  # fmt: skip
        assert hasattr(trt.IExecutionContext, name)
    for name in ("num_io_tensors", "get_tensor_name", "get_tensor_dtype",
                 "get_tensor_profile_shape", "create_execution_context"):  # fmt: skip
        assert hasattr(trt.ICudaEngine, name)
    assert trt.nptype(trt.int64) is np.int64
    assert trt.nptype(trt.float32) is np.float32
