"""Is the exported file whole, is it what its manifest says, and is it safe to run?

These checks read the file themselves, and take what an engine would refuse for a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms

from m3compress.contract.backends import backend_named
from m3compress.contract.distances import merged, shortest_distances
from m3compress.contract.files import sha256_of
from m3compress.contract.manifest import (
    BESIDE_ONLY,
    CONVENTIONS,
    METADATA_KEY,
    UNITS,
    Manifest,
    Tensor,
)
from m3compress.engines.artefact import read_manifest
from m3compress.engines.runtimes.native import manifest_in
from m3compress.errors import M3CompressError
from m3compress.validate.checks.atom_sums import CHECKS as SUM_CHECKS
from m3compress.validate.checks.attempt import Failure, attempt
from m3compress.validate.checks.building import Check, count_problems, on_file
from m3compress.validate.checks.graph import CHECKS as GRAPH_CHECKS
from m3compress.validate.checks.graph import no_graph, read_beside, read_graph
from m3compress.validate.checks.selection import bond_length
from m3compress.validate.checks.size_flow import CHECKS as SIZE_CHECKS
from m3compress.validate.checks.table_flow import CHECKS as TABLE_CHECKS
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject, TrainedModel

if TYPE_CHECKING:
    from m3compress.models.potential import Potential

#: What manifest and configuration of a model call by the same name.
_FACTS: Final = ("cutoff", "three_body_cutoff", "n_blocks", "receptive_field")
_FURTHEST_BOND: Final = 0.9  # of the cutoff

Problems = list[str]


def check_schema(context: Context, path: Path) -> Measurement:
    """The manifest is one that this version reads, and declares the tensors that the graph has."""
    del context
    manifest = read_beside(path)
    if not backend_named(manifest.backend).is_graph:
        return count_problems([], backend=manifest.backend)
    return count_problems(_differing_tensors(manifest, read_graph(path).graph))


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
    expected = read_beside(path).artefact_sha256
    digest = sha256_of(path)
    problems = [] if digest == expected else [f"sha256 is {digest}, the manifest says {expected}"]
    return count_problems(problems, sha256=digest)


def check_metadata(context: Context, path: Path) -> Measurement:
    """The manifest inside the file is the one beside it."""
    del context
    beside = read_beside(path)
    if (backend := backend_named(beside.backend)).is_model:
        text = manifest_in(path)
    elif backend.is_graph:
        text = {e.key: e.value for e in read_graph(path).metadata_props}.get(METADATA_KEY, "")
    else:
        return Measurement(skipped=no_graph(backend))
    if not text:
        return count_problems([f"{path.name} holds no manifest"])
    inside = read_manifest(text, f"the manifest in {path.name}")
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
    elements = read_beside(path).elements
    subject, cutoff = context.candidate_subject, context.reference_subject.cutoff
    problems = []
    for position, symbol in enumerate(elements):
        other = elements[(position + 1) % len(elements)]
        distances = {s: _bond(symbol, s, cutoff) for s in (symbol, other)}
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
    """Units and signs are ours, and the source is the reference."""
    manifest = read_beside(path)
    problems = [
        f"the {what} of {name} is {said.get(name)!r}, expected {expected.get(name)!r}"
        for what, said, expected in (
            ("unit", manifest.units, UNITS),
            ("convention", manifest.conventions, CONVENTIONS),
        )
        for name in {**expected, **said}
        if said.get(name) != expected.get(name)
    ]
    potential = _potential_of(context)
    said = {
        "source.sha256": (manifest.source.sha256, potential.provenance.sha256),
        "source.convention": (manifest.source.convention, potential.config.convention.name),
    }
    return count_problems([*problems, *_differences(said)], source=manifest.source.name)


def check_form(context: Context, path: Path) -> Measurement:
    """The three-body form is one to be used: forms for studies never pass.

    Such a form chooses triplets by the numbers of their slots, which cannot be told from what is
    wrong for some sizes.
    """
    del context
    form = read_beside(path).three_body.form
    if form.row.study_only:
        return count_problems([f"{form} is for studies alone"])
    return count_problems([])


def check_facts(context: Context, path: Path) -> Measurement:
    """Every number of the manifest is the one that the reference has."""
    manifest, potential = read_beside(path), _potential_of(context)
    config = potential.config
    own = dict(zip(config.elements, potential.element_energies.tolist(), strict=True))
    said: dict[str, tuple[object, object]] = {
        "elements": (manifest.elements, config.elements),
        "energy_offset": (manifest.energy_offset, potential.energy_offset),
        **{
            f"element_energies[{symbol}]": (energy, own.get(symbol))
            for symbol, energy in zip(manifest.elements, manifest.element_energies, strict=True)
        },
        **{name: (getattr(manifest, name), getattr(config, name)) for name in _FACTS},
        "three_body.study_only": (
            manifest.three_body.study_only,
            manifest.three_body.form.row.study_only,
        ),
    }
    labelled = shortest_distances((named.atoms for named in context.labels), config.cutoff)
    known = merged(potential.provenance.shortest, labelled)
    domain = _other_domain(manifest.shortest_distances or {}, known, potential.provenance.shortest)
    return count_problems([*_differences(said), *domain], n_compared=len(said))


def _other_domain(
    said: Mapping[str, float], known: Mapping[str, float], least: Mapping[str, float]
) -> Problems:
    """Pairs whose closest approach is not the one that is known.

    Args:
        said: Of the file.
        known: Of the reference and of the labelled frames that this gate was given. Such frames
            widen the domain of an export.
        least: Of the reference alone: an export that was given none knows no more.
    """
    problems = []
    for pair in sorted({*said, *known}):
        claimed = said.get(pair)
        if claimed not in (known.get(pair), least.get(pair)):
            problems.append(
                f"shortest_distances[{pair}] is {claimed} Å, known is {known.get(pair)} Å: give "
                "--labels if the export was given some"
            )
    return problems


def _potential_of(context: Context) -> Potential:
    """The reference with what it knows of itself.

    Raises:
        M3CompressError: If it is no trained model.
    """
    reference = context.reference_subject
    if not isinstance(reference, TrainedModel):
        raise M3CompressError("the reference is not a trained model")
    return reference.potential


def _differences(said: Mapping[str, tuple[object, object]]) -> Problems:
    return [
        f"{field} is {_short(claimed)}, the reference's is {_short(actual)}"
        for field, (claimed, actual) in said.items()
        if claimed != actual
    ]


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
    on_file(
        "artefact.form",
        "whether the three-body form is for studies alone",
        check_form,
    ),
    on_file(
        "artefact.facts",
        "numbers of the manifest that are not those of the reference",
        check_facts,
    ),
    *GRAPH_CHECKS,
    *SIZE_CHECKS,
    *SUM_CHECKS,
    *TABLE_CHECKS,
)
