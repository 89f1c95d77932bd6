"""Build a TensorRT engine from the exported ONNX graph.

Two builders speak the same API: ``tensorrt`` (10 and 11; needs a GPU) and ``tensorrt_rtx``, whose
parser and builder run on any machine and whose engines are finished on the user's GPU. Precision
is in the graph (strong typing); TF32 is off, because its ten-bit products would cost three digits
of the forces.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from m3compress.contract.backends import backend_named
from m3compress.contract.manifest import INPUT_NAMES
from m3compress.errors import ExportError, MissingDependencyError
from m3compress.export.onnx.write import write as write_graph
from m3compress.export.targets import Order, Written, target_named
from m3compress.models.potential import Potential

_HINT: Final = (
    "`pip install 'm3compress[tensorrt]'` brings TensorRT-RTX, whose builder needs no GPU; "
    "or export ONNX here and build on the target machine"
)


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """One optimisation profile: smallest, typical and largest sizes.

    Attributes:
        n_atoms: Atoms (min, opt, max).
        width: K and K_in (min, opt, max).
    """

    n_atoms: tuple[int, int, int]
    width: tuple[int, int, int]


#: Neighbours per atom that an engine accepts: 96 covers dense solids within 5 Å.
_MAX_WIDTH: Final = 96


def profile_up_to(max_atoms: int) -> ShapeRange:
    """A profile tuned at a quarter of the largest size.

    The builder plans (and on the CPU even reserves) memory for the largest shapes, about 0.8 MB
    per atom.
    """
    typical = max(1, max_atoms // 4)
    return ShapeRange(n_atoms=(1, typical, max_atoms), width=(1, 56, _MAX_WIDTH))


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """A serialized engine.

    Attributes:
        plan: The engine's bytes.
        backend: ``tensorrt`` or ``tensorrt-rtx``.
        version: Version of the builder; engines of the enterprise builder run on this version only.
    """

    plan: bytes
    backend: str
    version: str


def default_suffix() -> str:
    """What the name of a plan ends in: it fits one TensorRT.

    Raises:
        MissingDependencyError: If none is installed.
    """
    backend, module = find_builder()
    return f".m3c.{backend}-{module.__version__}{backend_named(backend).suffix}"


def write(potential: Potential, order: Order) -> Written:
    """Build a plan from a graph that agrees with the potential.

    Raises:
        ParityError: If the graph disagrees, run in ONNX Runtime.
        ExportError: If the parser refuses a node or the builder fails.
        MissingDependencyError: If no TensorRT is installed.
    """
    graph = write_graph(potential, order)
    parity = order.prove(graph)
    engine = build_engine(graph.content, profiles=(profile_up_to(order.max_atoms),))
    order.report("tensorrt", f"{engine.backend} {engine.version}, up to {order.max_atoms} atoms")
    manifest = graph.manifest.model_copy(
        update={
            "backend": engine.backend,
            "graph_parity": parity,
            "tools": {**graph.manifest.tools, engine.backend: engine.version},
        }
    )
    return Written(engine.plan, manifest)


def find_builder(backend: str | None = None) -> tuple[str, ModuleType]:
    """Import a TensorRT.

    Args:
        backend: ``tensorrt`` or ``tensorrt-rtx``; None for whichever is installed.

    Raises:
        MissingDependencyError: If none is installed.
    """
    names = (backend,) if backend else target_named("tensorrt").backends
    for name in names:
        module = backend_named(name).import_runtime()
        if module is not None:
            return name, module
    raise MissingDependencyError(f"{' or '.join(names)} is not installed", hint=_HINT)


def unsupported_nodes(onnx_bytes: bytes, backend: str | None = None) -> list[str]:
    """What the parser cannot take, one line each; empty when the whole graph is supported.

    Raises:
        MissingDependencyError: If no TensorRT is installed.
    """
    _, trt = find_builder(backend)
    _, network, parser = _parse(trt, onnx_bytes)
    del network
    return [str(parser.get_error(i)) for i in range(parser.num_errors)]


def build_engine(
    onnx_bytes: bytes,
    *,
    backend: str | None = None,
    profiles: tuple[ShapeRange, ...],
) -> BuiltEngine:
    """Parse the graph and build an engine with optimisation profiles for n_atoms and K.

    Raises:
        MissingDependencyError: If no TensorRT is installed.
        ExportError: If the parser refuses a node or the builder fails.
    """
    name, trt = find_builder(backend)
    builder, network, parser = _parse(trt, onnx_bytes)
    if parser.num_errors:
        raise ExportError(f"{name} {trt.__version__} refuses the graph: {parser.get_error(0)}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    for sizes in profiles:
        config.add_optimization_profile(_profile(builder, network, sizes))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(
            f"{name} {trt.__version__} could not build an engine (its log is on stderr)"
        )
    return BuiltEngine(plan=bytes(plan), backend=name, version=str(trt.__version__))


def _parse(trt: ModuleType, onnx_bytes: bytes) -> tuple[Any, Any, Any]:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flags = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    # TensorRT 11 and RTX are strongly typed always; 10 has to be asked.
    network = builder.create_network(1 << int(flags) if flags is not None else 0)
    parser = trt.OnnxParser(network, logger)
    parser.parse(onnx_bytes)
    return builder, network, parser


def _profile(builder: Any, network: Any, sizes: ShapeRange) -> Any:
    profile = builder.create_optimization_profile()
    present = {network.get_input(i).name for i in range(network.num_inputs)}
    for name in INPUT_NAMES:
        if name not in present:
            continue
        tail = (3,) if name == "edge_vectors" else ()
        shapes = [
            (n,) if name == "species" else (n, k, *tail)
            for n, k in zip(sizes.n_atoms, sizes.width, strict=True)
        ]
        profile.set_shape(name, *shapes)
    return profile
