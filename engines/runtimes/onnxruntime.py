"""Run an exported graph with ONNX Runtime, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from m3compress.contract.backends import Device
from m3compress.contract.manifest import INPUT_NAMES, METADATA_KEY, OUTPUT_NAMES, Manifest
from m3compress.contract.tables import RawOutputs, TableInputs
from m3compress.engines.artefact import Artefact, check_same_model, read_manifest
from m3compress.errors import ArtefactError, M3CompressError, MissingDependencyError

_CUDA: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"
_ERRORS_ONLY: Final = 3
#: kSameAsRequested: the arena grows by what is asked for, not to the next power of two.
_SAME_AS_REQUESTED: Final = 1
#: Where the arena of a device is, as ONNX Runtime names it.
_ARENAS: Final[dict[Device, str]] = {"cpu": "cpu:0", "cuda": "gpu:0"}


class OnnxRuntimeEngine:
    """An exported graph in an ONNX Runtime session.

    Args:
        artefact: From :func:`~m3compress.engines.artefact.load_artefact`.
        device: Where to run; there is no silent fallback to the CPU.
        threads: Threads of one run; None leaves the number to ONNX Runtime (all physical cores).

    Raises:
        ArtefactError: If the file is not an ONNX graph of ours or its manifest was changed.
        MissingDependencyError: If ``device`` is ``cuda`` and ONNX Runtime cannot use it.
    """

    def __init__(
        self, artefact: Artefact, *, device: Device = "cpu", threads: int | None = None
    ) -> None:
        self._manifest = artefact.manifest
        self._device = device
        self._largest = 0
        self._session = _open_session(artefact, device, threads)
        name = artefact.path.name
        self._inputs = _check_names(self._session, name)
        embedded = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if embedded is None:
            raise ArtefactError(
                f"{name} holds no manifest, so m3compress did not write it",
                hint="make an artefact with `m3compress export MODEL`",
            )
        check_same_model(
            artefact.manifest, read_manifest(embedded, f"the manifest in {name}"), name
        )

    @property
    def manifest(self) -> Manifest:
        """The manifest beside the file."""
        return self._manifest

    @property
    def description(self) -> str:
        """Version and device."""
        return f"ONNX Runtime {ort.__version__}, {self._device}"

    def run(self, inputs: TableInputs) -> RawOutputs:
        """Evaluate the graph.

        Raises:
            M3CompressError: If ONNX Runtime fails.
        """
        try:
            self._make_room(inputs)
            outputs = self._session.run(OUTPUT_NAMES, self._feed(inputs))
        except Exception as error:  # the exceptions of ONNX Runtime share no base class
            n_atoms, width = inputs.mask.shape
            raise M3CompressError(
                f"ONNX Runtime failed on {n_atoms} atoms with {width} slots each: {error}",
                hint="if it ran out of memory, use a smaller structure or a machine with more",
            ) from error
        return RawOutputs(*outputs)

    def _feed(self, inputs: TableInputs) -> dict[str, Any]:
        feed = inputs.feed()
        return {name: feed[name] for name in self._inputs}

    def _make_room(self, inputs: TableInputs) -> None:
        """Give unused memory back before the first run of a larger table than any before.

        The arena keeps the blocks of earlier runs. A slightly larger tensor fits in none of them,
        so that a table that grows by one column would take the memory of two. ONNX Runtime frees
        blocks at the end of a run only: this one has a single slot.
        """
        n_slots = inputs.mask.size
        if n_slots <= self._largest:
            return
        if self._largest:
            options = ort.RunOptions()
            arena = _ARENAS[self._device]
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
            self._session.run(OUTPUT_NAMES, self._feed(_one_empty_slot()), options)
        self._largest = n_slots


def _one_empty_slot() -> TableInputs:
    """One atom without neighbours."""
    index, number = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32)
    return TableInputs(
        species=index[0],
        neighbors=index,
        mask=number,
        edge_vectors=np.zeros((1, 1, 3), np.float32),
        incoming=index,
        incoming_mask=number,
    )


def _open_session(artefact: Artefact, device: Device, threads: int | None) -> ort.InferenceSession:
    if device == "cuda" and _CUDA not in ort.get_available_providers():
        raise MissingDependencyError(
            f"this onnxruntime {ort.__version__} has no CUDA provider",
            hint="`pip install 'm3compress[gpu]'`, `pip uninstall -y onnxruntime`, then "
            "`pip install --force-reinstall --no-deps onnxruntime-gpu`",
        )
    options = _session_options(device, threads)
    if device == "cuda":
        _load_cuda_libraries()
    try:
        session = ort.InferenceSession(str(artefact.path), options, providers=_providers(device))
    except Exception as error:  # the exceptions of ONNX Runtime share no base class
        raise ArtefactError(
            f"ONNX Runtime {ort.__version__} cannot load {artefact.path.name}: {error}",
            hint="the file is not an ONNX graph, or needs a newer onnxruntime",
        ) from error
    if device == "cuda" and session.get_providers()[0] != _CUDA:
        # ONNX Runtime only logs that CUDA did not start, and goes on with the CPU.
        raise MissingDependencyError(
            "the CUDA provider of ONNX Runtime did not start",
            hint="check `nvidia-smi`, and that CUDA and cuDNN are those this onnxruntime-gpu needs",
        )
    return session


def _providers(device: Device) -> list[str | tuple[str, dict[str, Any]]]:
    if device == "cpu":
        return [_CPU]
    # TF32 rounds factors to ten bits, which costs three digits of the forces. The CPU provider
    # stays in the list for the few nodes that compute shapes.
    return [(_CUDA, {"use_tf32": 0, "arena_extend_strategy": "kSameAsRequested"}), _CPU]


@functools.cache
def _load_cuda_libraries() -> None:
    """Let ONNX Runtime find the CUDA and cuDNN that pip has installed, as PyTorch finds them."""
    preload = getattr(ort, "preload_dlls", None)  # since 1.21
    if preload is not None:
        # It prints what it misses; whether that matters, the session will tell.
        with contextlib.redirect_stdout(sys.stderr):
            preload()


def _session_options(device: Device, threads: int | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads is {threads}, expected at least 1")
        options.intra_op_num_threads = threads
    # Without work, its threads would spin for some 30 ms of processor time after every step.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # The exporter has optimised the graph. Merging common subexpressions again would undo its
    # recomputation of cheap values in the backward pass and double the memory.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    # The default order would do the recomputation early: the same memory again.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    # A pattern reserves one block for all tensors of every new shape; in MD shapes change.
    options.enable_mem_pattern = False
    if device == "cpu":
        _register_shared_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    else:
        # Sums in a fixed order: two runs give the same bits.
        options.use_deterministic_compute = True
    return options


@functools.cache
def _register_shared_arena() -> None:
    """Let all sessions of this process share one CPU arena that grows by what is asked for.

    An arena of its own for each session grows to the next power of two and never shrinks. Whether
    another library has registered one before us makes no difference to the results.
    """
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    unlimited, default = 0, -1
    arena = ort.OrtArenaCfg(unlimited, _SAME_AS_REQUESTED, default, default)
    try:
        ort.create_and_register_allocator(memory, arena)
    except Exception as error:  # the exceptions of ONNX Runtime share no base class
        if "already" not in str(error).lower():
            raise M3CompressError(
                f"ONNX Runtime refused the shared memory arena: {error}"
            ) from error


def _check_names(session: ort.InferenceSession, name: str) -> tuple[str, ...]:
    """The inputs that the graph reads; a graph without three-body block reads fewer."""
    inputs = tuple(tensor.name for tensor in session.get_inputs())
    outputs = tuple(tensor.name for tensor in session.get_outputs())
    if not set(inputs) <= set(INPUT_NAMES) or outputs != OUTPUT_NAMES:
        raise ArtefactError(
            f"{name} maps {inputs} to {outputs}, expected {INPUT_NAMES} to {OUTPUT_NAMES}",
            hint="this graph was not written by `m3compress export`",
        )
    return inputs
