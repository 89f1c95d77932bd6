"""What an exported graph holds, read from the graph itself: operators, types, precision.

Nothing that the manifest says chooses a limit: all files are judged by those of float32,
TensorRT plans too, which hold no graph to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from m3compress.contract.backends import Backend, backend_named, manifest_path
from m3compress.contract.manifest import Manifest
from m3compress.contract.operators import OPERATORS, TENSOR_TYPES
from m3compress.engines.artefact import read_manifest
from m3compress.errors import ArtefactError
from m3compress.validate.checks.building import Check, count_problems, on_file
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context


def read_beside(path: Path) -> Manifest:
    """The manifest beside a file.

    Raises:
        ArtefactError: If it is none that this version reads.
        OSError: If there is none.
    """
    beside = manifest_path(path)
    return read_manifest(beside.read_bytes(), beside.name)


def read_graph(path: Path) -> Any:
    """The ONNX model, without what it may want to load from other files.

    Raises:
        ArtefactError: If the file holds none.
        OSError: If it cannot be read.
    """
    import onnx

    try:
        return onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf has its own exceptions, which differ between versions
        raise ArtefactError(f"{path.name} is not an ONNX graph: {error}") from error


def no_graph(backend: Backend) -> str:
    """Why nothing is measured on files of a backend that are no graphs."""
    return f"a {backend.file} holds no graph that can be read"


def _types(model: Any) -> set[str]:
    """Names of the types of all tensors that a graph names: weights, casts, values, attributes."""
    import onnx

    numbers: set[int] = set()
    for graph in (*_graphs(model), *model.functions):
        values = (*getattr(graph, "input", ()), *getattr(graph, "output", ()), *graph.value_info)
        # The inputs and outputs of a function are names.
        numbers |= {v.type.tensor_type.elem_type for v in values if not isinstance(v, str)}
        numbers |= {tensor.data_type for tensor in getattr(graph, "initializer", ())}
        numbers |= {s.values.data_type for s in getattr(graph, "sparse_initializer", ())}
    for node in _nodes(model):
        for attribute in node.attribute:
            numbers |= {tensor.data_type for tensor in (attribute.t, *attribute.tensors)}
            if attribute.name in {"to", "dtype"}:
                numbers.add(attribute.i)
    undefined = onnx.TensorProto.UNDEFINED
    return {onnx.TensorProto.DataType.Name(n) for n in numbers if n != undefined}


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, and those of its branches and loops."""
    yield model.graph
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (g for g in (attribute.g, *attribute.graphs) if g.name or g.node)


def _nodes(model: Any) -> Iterator[Any]:
    """All nodes of a model, those of branches, loops and functions included."""
    for graph in (model.graph, *model.functions):
        yield from _nodes_within(graph)


def _nodes_within(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes_within(inner)


def check_precision(context: Context, path: Path) -> Measurement:
    """Graph and manifest are of float32, in whose limits everything is judged."""
    del context
    manifest = read_beside(path)
    found = precision_of(path)
    problems = []
    if found is not None and found != manifest.precision:
        problems.append(f"the manifest says {manifest.precision}, the graph holds {found}")
    if "mixed" in {found, manifest.precision}:
        problems.append("mixed precision, which loses what the limits of float32 ask for")
    return count_problems(problems, precision=found or "not read", declared=manifest.precision)


def precision_of(path: Path) -> str | None:
    """``mixed`` if the graph of a file names float16 anywhere, else ``float32``; None without one.

    Raises:
        ArtefactError: If the file or its manifest cannot be read.
        OSError: If there is none.
    """
    if not backend_named(read_beside(path).backend).is_graph:
        return None
    return "mixed" if "FLOAT16" in _types(read_graph(path)) else "float32"


def is_mixed(path: Path) -> bool:
    """Whether a file is of mixed precision, or says so; no if it cannot be read."""
    try:
        return "mixed" in {precision_of(path), read_beside(path).precision}
    except (ArtefactError, OSError):
        return False


def on_graph(name: str, measures: str, find: Callable[[Any], Measurement]) -> Check:
    """A check of the graph that an exported file holds; skipped for files that hold none.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        find: What it finds in the ONNX model, most often with :func:`count_problems`.
    """

    def find_in(context: Context, path: Path) -> Measurement:
        del context
        backend = backend_named(read_beside(path).backend)
        if not backend.is_graph:
            return Measurement(skipped=no_graph(backend))
        return find(read_graph(path))

    return on_file(name, measures, find_in)


def check_operators(model: Any) -> Measurement:
    """The graph holds what the export writes, and nothing that could be something else."""
    counts = Counter(_full_name(node) for node in _nodes(model))
    problems = [
        f"{name} ({count} nodes)" for name, count in sorted(counts.items()) if name not in OPERATORS
    ]
    problems += [f"tensors of type {name.lower()}" for name in sorted(_types(model) - TENSOR_TYPES)]
    problems += [f"the domain {o.domain}" for o in model.opset_import if not _is_onnx(o.domain)]
    problems += [f"a function {function.name}" for function in model.functions]
    problems += [f"weights of {name} in another file" for name in _elsewhere(model)]
    if model.training_info:
        problems.append("instructions for training")
    return count_problems(problems, operators=dict(sorted(counts.items())))


def _full_name(node: Any) -> str:
    return str(node.op_type if _is_onnx(node.domain) else f"{node.domain}.{node.op_type}")


def _is_onnx(domain: str) -> bool:
    return domain in {"", "ai.onnx"}


def _elsewhere(model: Any) -> Iterable[str]:
    import onnx

    stored = (tensor for graph in _graphs(model) for tensor in graph.initializer)
    return (t.name for t in stored if t.data_location == onnx.TensorProto.EXTERNAL)


def check_scatters(model: Any) -> Measurement:
    """No node adds into shared memory from several threads."""
    nodes = list(_nodes(model))
    problems = [
        f"{node.op_type} {node.name} ({reduction})"
        for node in nodes
        if "Scatter" in node.op_type and (reduction := _reduction(node)) != "none"
    ]
    return count_problems(problems, n_nodes=len(nodes))


def _reduction(node: Any) -> str:
    for attribute in node.attribute:
        if attribute.name == "reduction":
            return str(attribute.s.decode())
    return "none"


CHECKS: Final[tuple[Check, ...]] = (
    on_file(
        "artefact.precision",
        "whether graph and manifest are of float32, as the limits are",
        check_precision,
    ),
    on_graph(
        "artefact.operators",
        "operators and types that no exported graph holds",
        check_operators,
    ),
    on_graph("artefact.no-scatter", "nodes that add into shared memory", check_scatters),
)
