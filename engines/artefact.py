"""Opening an exported file: is it whole, is it ours, and can this version read it?

The manifest beside the file carries the hash of the file; nothing runs before it was compared.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers
from pydantic import ValidationError

from m3compress.contract.backends import (
    BACKENDS,
    artefact_patterns,
    artefact_suffixes,
    backend_named,
    manifest_path,
)
from m3compress.contract.distances import problem_with
from m3compress.contract.files import expanded, sha256_of
from m3compress.contract.manifest import (
    BESIDE_ONLY,
    INPUT_NAMES,
    OUTPUT_NAMES,
    SCHEMA_VERSION,
    Manifest,
)
from m3compress.errors import ArtefactError, M3CompressError


@dataclass(frozen=True, slots=True)
class Artefact:
    """An exported file that has passed all checks that need no runtime.

    Attributes:
        path: The exported file.
        manifest: What it is.
    """

    path: Path
    manifest: Manifest


def load_artefact(path: str | Path) -> Artefact:
    """Check an exported file against its manifest.

    Args:
        path: The exported file (such as ``.m3c.onnx``), or its ``.m3c.json``; ``~`` is the home
            folder.

    Raises:
        ArtefactError: If a file is missing, damaged, of another schema version, or not one of ours.
    """
    path = expanded(path)
    if not path.is_file():
        raise ArtefactError(
            f"there is no file {path}",
            hint="pass the file that `m3compress export` wrote",
        )
    described_by = path if path.name.endswith(".json") else _manifest_beside(path)
    manifest = read_manifest(_read(described_by), described_by.name)
    exported = _file_beside(path, manifest) if described_by == path else path
    _check_kind(exported, manifest)
    _check_hash(exported, manifest)
    return Artefact(exported, manifest)


def read_manifest(text: str | bytes, where: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: The JSON document.
        where: What to call it in messages.

    Raises:
        ArtefactError: If it is not a manifest that this version reads.
    """
    rewrite = "export the model again with this version of m3compress"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{where} is not valid JSON: {error}", hint=rewrite) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ArtefactError(f"{where} is not an m3compress manifest", hint=rewrite)
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{where} has schema version {version}, this m3compress reads {SCHEMA_VERSION}",
            hint=f"it was written by {document.get('created_by')}: install that, or {rewrite}",
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ArtefactError(
            f"{where} is not an m3compress manifest: {field}: {first['msg']}", hint=rewrite
        ) from error
    _check_content(manifest, where)
    return manifest


def check_same_model(beside: Manifest, inside: Manifest, name: str) -> None:
    """Compare the manifest beside a file with the one inside it.

    The hash protects the file, and this protects the manifest: swapped elements would otherwise
    go unnoticed. What is stamped after the file was written (gate, parity) may differ.

    Raises:
        ArtefactError: If a field differs that both hold.
    """
    outer, inner = (m.model_dump(exclude=set(BESIDE_ONLY)) for m in (beside, inside))
    for field in outer:
        if outer[field] != inner[field]:
            raise ArtefactError(
                f"{name} and the manifest beside it disagree on {field}: "
                f"{_short(inner[field])} inside, {_short(outer[field])} beside",
                hint="the manifest was edited or belongs to another file; export the model again",
            )


def _manifest_beside(path: Path) -> Path:
    if not path.name.endswith(artefact_suffixes()):
        raise ArtefactError(
            f"{path.name} is not an exported file, expected {artefact_patterns()}",
            hint="make one with `m3compress export MODEL`",
        )
    beside = manifest_path(path)
    if not beside.is_file():
        together = "the two files belong together: copy both"
        models = tuple(backend.suffix for backend in BACKENDS if backend.is_model)
        made = "; a model becomes an exported file by `m3compress export MODEL --to native`"
        raise ArtefactError(
            f"there is no {beside.name} beside {path}",
            hint=together + (made if path.name.endswith(models) else ""),
        )
    return beside


def _file_beside(path: Path, manifest: Manifest) -> Path:
    """The exported file that a manifest describes."""
    backend = backend_named(manifest.backend)
    file = path.with_name(path.name.removesuffix(backend.manifest) + backend.extension)
    if not file.is_file():
        raise ArtefactError(
            f"there is no {file.name} beside {path}",
            hint="the two files belong together: copy both",
        )
    return file


def _check_kind(path: Path, manifest: Manifest) -> None:
    if path.suffix != backend_named(manifest.backend).extension:
        raise ArtefactError(
            f"the manifest of {path.name} is one of a file for {manifest.backend}",
            hint="give every exported file the manifest that was written with it",
        )


def _check_hash(path: Path, manifest: Manifest) -> None:
    if manifest.artefact_sha256 is None:
        raise ArtefactError(
            f"the manifest of {path.name} holds no hash of the file", hint="export the model again"
        )
    try:
        digest = sha256_of(path)
    except M3CompressError as error:
        raise ArtefactError(error.message, hint=error.hint) from error
    if digest != manifest.artefact_sha256:
        raise ArtefactError(
            f"{path.name} is damaged or not the file of this manifest: "
            f"sha256 {digest[:12]}…, expected {manifest.artefact_sha256[:12]}…",
            hint="copy it again, together with its manifest",
        )


def _check_content(manifest: Manifest, where: str) -> None:
    problem = None
    names = manifest.elements
    unknown = [symbol for symbol in names if atomic_numbers.get(symbol, 0) < 1]
    outputs = tuple(tensor.name for tensor in manifest.outputs)
    strange = {tensor.name for tensor in manifest.inputs}.difference(INPUT_NAMES)
    energies = (*manifest.element_energies, manifest.energy_offset)
    if unknown:
        problem = f"names {unknown[0]!r}, which is not a chemical element"
    elif not names or len(set(names)) != len(names):
        problem = "names no element, or one twice"
    elif len(manifest.element_energies) != len(names):
        problem = f"has {len(manifest.element_energies)} element energies for {len(names)} elements"
    elif not all(math.isfinite(energy) for energy in energies):
        problem = "holds energies that are not finite"
    elif not 0 < manifest.cutoff < math.inf:
        problem = f"has a cutoff of {manifest.cutoff} Å"
    elif outputs != OUTPUT_NAMES:
        problem = f"names the outputs {outputs}, expected {OUTPUT_NAMES}"
    elif (distances := manifest.shortest_distances) is not None and (
        wrong := problem_with(distances, names)
    ):
        problem = f"is garbled: {wrong}"
    elif strange:
        problem = f"names the inputs {sorted(strange)}, which no engine provides"
    if problem:
        raise ArtefactError(f"{where} {problem}", hint="export the model again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
