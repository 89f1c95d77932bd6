"""Is the exported file whole, is it what its manifest says, and is it safe to run?

These checks read the file themselves, and take what an engine would refuse for a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.backends import Backend, backend_named
from m3compress.contract.files import sha256_of
from m3compress.contract.manifest import BESIDE_ONLY, METADATA_KEY, Manifest, Tensor, manifest_path
from m3compress.engines.artefact import read_manifest
from m3compress.errors import ArtefactError
from m3compress.units import ENERGY_UNIT, FORCE_UNIT, LENGTH_UNIT, STRESS_UNIT
from m3compress.validate.checks.attempt import Failure, attempt
from m3compress.validate.checks.building import Check, count_problems, on_file
from m3compress.validate.checks.selection import bond_length
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject, TrainedModel

_UNITS: Final = {
    "energy": ENERGY_UNIT,
    "length": LENGTH_UNIT,
    "force": FORCE_UNIT,
    "stress": STRESS_UNIT,
}
_CONVENTIONS: Final = ("stress", "cell", "energy", "edges")
_FURTHEST_BOND: Final = 0.9  # of the cutoff

Problems = list[str]


def _no_graph(backend: Backend) -> str:
    return f"a {backend.file} holds no graph that can be read"


def _read_beside(path: Path) -> Manifest:
    beside = manifest_path(path)
    return read_manifest(beside.read_bytes(), beside.name)


def _read_graph(path: Path) -> Any:
    """The ONNX model.

    Raises:
        ArtefactError: If the file holds none.
    """
    import onnx

    try:
        return onnx.load(path)
    except OSError:
        raise
    except Exception as error:  # protobuf has its own exceptions, which differ between versions
        raise ArtefactError(f"{path.name} is not an ONNX graph: {error}") from error


def check_schema(context: Context, path: Path) -> Measurement:
    """The manifest is one that this version reads, and declares the tensors that the graph has."""
    del context
    manifest = _read_beside(path)
    if not backend_named(manifest.backend).is_graph:
        return count_problems([], backend=manifest.backend)
    return count_problems(_differing_tensors(manifest, _read_graph(path).graph))


def _differing_tensors(manifest: Manifest, graph: Any) -> Problems:
    problems = []
    for kind, declared, found in (
        ("input", manifest.inputs, graph.input),
        ("output", manifest.outputs, graph.output),
    ):
        actual = {tensor.name: _signature(tensor) for tensor in found}
        expected = {tensor.name: _declared(tensor) for tensor in declared}
        # A graph without three-body block reads fewer inputs than the manifest offers.
        absent = set(expected) - set(actual) if kind == "output" else set()
        problems += [f"{kind} {name} is not in the graph" for name in sorted(absent)]
        problems += [
            f"{kind} {name} is {signature}, declared is {expected.get(name, 'nothing')}"
            for name, signature in actual.items()
            if expected.get(name) != signature
        ]
    return problems


def _declared(tensor: Tensor) -> str:
    sizes = ", ".join(str(size) if isinstance(size, int) else "?" for size in tensor.shape)
    return f"{tensor.dtype}({sizes})"


def _signature(tensor: Any) -> str:
    """Type and shape of an ONNX value, with a question mark for what is dynamic."""
    import onnx

    kind = tensor.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    sizes = [str(d.dim_value) if d.HasField("dim_value") else "?" for d in kind.shape.dim]
    return f"{dtype}({', '.join(sizes)})"


def check_hash(context: Context, path: Path) -> Measurement:
    """The file is the one of its manifest, to the last bit."""
    del context
    expected = _read_beside(path).artefact_sha256
    digest = sha256_of(path)
    problems = [] if digest == expected else [f"sha256 is {digest}, the manifest says {expected}"]
    return count_problems(problems, sha256=digest)


def check_metadata(context: Context, path: Path) -> Measurement:
    """The manifest inside the file is the one beside it."""
    del context
    beside = _read_beside(path)
    if not (backend := backend_named(beside.backend)).is_graph:
        return Measurement(skipped=_no_graph(backend))
    entries = {entry.key: entry.value for entry in _read_graph(path).metadata_props}
    if METADATA_KEY not in entries:
        return count_problems([f"{path.name} holds no manifest"])
    inside = read_manifest(entries[METADATA_KEY], f"the manifest in {path.name}")
    outer, inner = (m.model_dump(exclude=set(BESIDE_ONLY)) for m in (beside, inside))
    return count_problems(
        [
            f"{field}: {_short(inner[field])} inside, {_short(outer[field])} beside"
            for field in outer
            if outer[field] != inner[field]
        ]
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_elements(context: Context, path: Path) -> Measurement:
    """Every declared element computes: alone, and bonded to itself and to the next one."""
    elements = _read_beside(path).elements
    subject = context.candidate_subject
    problems = []
    for position, symbol in enumerate(elements):
        other = elements[(position + 1) % len(elements)]
        distances = {s: _bond(symbol, s, subject.cutoff) for s in (symbol, other)}
        structures = [
            Atoms(symbol),
            *(Atoms([symbol, s], positions=[[0, 0, 0], [0, 0, d]]) for s, d in distances.items()),
        ]
        failure = _first_failure(subject, structures)
        if failure is not None:
            problems.append(f"{symbol}: {failure}")
    return count_problems(problems, n_elements=len(elements))


def _bond(a: str, b: str, cutoff: float) -> float:
    return min(bond_length(a, b), _FURTHEST_BOND * cutoff)


def _first_failure(subject: Subject, structures: Iterable[Atoms]) -> str | None:
    for atoms in structures:
        result = attempt(subject.evaluate, atoms)
        if isinstance(result, Failure):
            return f"{atoms.symbols}: {result.reason}"
        if not (math.isfinite(result.energy) and np.isfinite(result.forces).all()):
            return f"{atoms.symbols}: energy {result.energy}, forces {result.forces.tolist()}"
    return None


def check_conventions(context: Context, path: Path) -> Measurement:
    """Units and signs are named and ours, and the source is the reference."""
    manifest = _read_beside(path)
    problems = [
        f"the unit of {quantity} is {manifest.units.get(quantity)!r}, expected {unit!r}"
        for quantity, unit in _UNITS.items()
        if manifest.units.get(quantity) != unit
    ]
    problems += [
        f"the convention of {name} is not named"
        for name in _CONVENTIONS
        if not manifest.conventions.get(name)
    ]
    return count_problems(
        [*problems, *_differs_from_reference(manifest, context)], source=manifest.source.name
    )


def _differs_from_reference(manifest: Manifest, context: Context) -> Problems:
    reference = context.reference_subject
    if not isinstance(reference, TrainedModel):
        return ["the reference is not a trained model"]
    potential = reference.potential
    said = {
        "source.sha256": (manifest.source.sha256, potential.provenance.sha256),
        "source.convention": (manifest.source.convention, potential.config.convention.name),
    }
    return [
        f"{field} is {claimed}, the reference's is {actual}"
        for field, (claimed, actual) in said.items()
        if claimed != actual
    ]


def check_scatters(context: Context, path: Path) -> Measurement:
    """No node adds into shared memory from several threads."""
    del context
    if not (backend := backend_named(_read_beside(path).backend)).is_graph:
        return Measurement(skipped=_no_graph(backend))
    model = _read_graph(path)
    nodes = [*_nodes(model.graph), *(n for f in model.functions for n in _nodes(f))]
    problems = [
        f"{node.op_type} {node.name} ({reduction})"
        for node in nodes
        if "Scatter" in node.op_type and (reduction := _reduction(node)) != "none"
    ]
    return count_problems(problems, n_nodes=len(nodes))


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph or function, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _reduction(node: Any) -> str:
    for attribute in node.attribute:
        if attribute.name == "reduction":
            return str(attribute.s.decode())
    return "none"


CHECKS: Final[tuple[Check, ...]] = (
    on_file("artefact.schema", "faults of the manifest, or of the graph against it", check_schema),
    on_file("artefact.hash", "whether the file is the one of its manifest", check_hash),
    on_file(
        "artefact.metadata",
        "fields in which the manifests inside and beside differ",
        check_metadata,
    ),
    on_file("artefact.elements", "declared elements that do not compute", check_elements),
    on_file(
        "artefact.conventions",
        "units, signs and source that are not those of the reference",
        check_conventions,
    ),
    on_file("artefact.no-scatter", "nodes that add into shared memory", check_scatters),
)
