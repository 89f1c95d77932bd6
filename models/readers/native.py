"""The toolkit's own checkpoint: one safetensors file whose header holds everything but the numbers.

``NAME.m3c.safetensors`` holds the weights, the element energies, and under the metadata key
``m3compress`` a JSON document with the schema version, the configuration, the three-body form and
the provenance. The same document lies beside it as ``NAME.m3c.model.json`` for people to read; only
the safetensors file is read back.

What ``m3compress export --to native`` writes is such a file, too: the manifest is added to it, and
what the native core needs besides the weights, which nobody needs to read the model.

``NAME.m3c.onnx`` and its manifest ``NAME.m3c.json`` may stand beside a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from m3compress.contract.arrays import FloatArray
from m3compress.contract.distances import problem_with
from m3compress.contract.files import move_into_place, sha256_of, workplace
from m3compress.contract.forms import FormError, ThreeBodyForm
from m3compress.contract.manifest import MANIFEST_KEY
from m3compress.errors import CheckpointError, OutputExistsError
from m3compress.models.config import CONVENTIONS, Activation, Basis, M3GNetConfig
from m3compress.models.potential import Potential, Provenance
from m3compress.models.readers.arrays import fill_network

SUFFIX = ".safetensors"
METADATA_KEY = "m3compress"
SCHEMA_VERSION = 1

_NETWORK = "network."
_CORE = "core."
_ELEMENT_ENERGIES = "element_energies"
_KEYS = ("schema_version", "config", "form", "energy_offset", "provenance")
_REWRITE = "read the original checkpoint again and write it with this version"


def looks_like_native(path: Path) -> bool:
    """Whether ``path`` is a safetensors file; whether it is one of ours is known on reading."""
    return path.is_file() and path.suffix == SUFFIX


def description_path(path: Path) -> Path:
    """Where the readable copy of the document of ``path`` lies: NAME.m3c.model.json."""
    return path.with_suffix(".model.json")


def write_native(potential: Potential, path: Path, *, force: bool = False) -> None:
    """Write a potential: to a temporary file, read back and compared, then moved into place.

    A tensor is stored in float32 where that loses nothing, else in float64.

    Args:
        potential: The potential.
        path: Where to; the suffix must be ``.safetensors``.
        force: Replace existing files.

    Raises:
        OutputExistsError: If a file is in the way and ``force`` is not given.
        CheckpointError: If the suffix is another one, or the file does not read back the same.
    """
    require_writable(path, force=force)
    content = serialize(potential)
    with workplace(path) as folder:
        written = folder / path.name
        written.write_bytes(content)
        _compare(read_native(written), potential)
        description_path(written).write_text(_document(potential) + "\n", encoding="utf-8")
        move_into_place(folder, path, description_path(path))


def serialize(
    potential: Potential,
    *,
    core: Mapping[str, FloatArray] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a file, with what the native core needs besides the model.

    Args:
        potential: The potential.
        core: What the native core reads besides the weights, under names that begin with ``core.``.
        manifest: What the file says of itself as an exported one.

    Raises:
        CheckpointError: If the evidence holds something that JSON cannot.
    """
    tensors = {f"{_NETWORK}{name}": _compact(value) for name, value in _weights(potential).items()}
    tensors[_ELEMENT_ENERGIES] = torch.tensor(potential.element_energies, dtype=torch.float64)
    tensors |= {name: torch.from_numpy(table.copy()) for name, table in (core or {}).items()}
    # One entry: the order of several would differ from run to run.
    content: bytes = save(tensors, {METADATA_KEY: _document(potential, manifest)})
    return content


def require_writable(path: Path, *, force: bool) -> None:
    """Refuse a place where :func:`write_native` could not write, before there is anything to write.

    Args:
        path: Where to; the suffix must be ``.safetensors``.
        force: Whether existing files may be replaced.

    Raises:
        OutputExistsError: If a file is in the way and ``force`` is not given.
        CheckpointError: If the suffix is another one, or there is no such folder.
    """
    if path.suffix != SUFFIX:
        raise CheckpointError(
            f"{path.name} does not end in {SUFFIX}", hint="name it NAME.m3c.safetensors"
        )
    if not path.parent.is_dir():
        raise CheckpointError(f"the folder {path.parent} does not exist", hint="create it first")
    for target in (path, description_path(path)):
        if target.exists() and not force:
            raise OutputExistsError(
                f"{target} exists", hint="give another name, or --force to replace it"
            )


def read_native(path: Path) -> Potential:
    """Read a potential that :func:`write_native` wrote.

    Args:
        path: The ``.safetensors`` file.

    Returns:
        The potential in float64, with the convention and form that it was written with. Its
        provenance is this file; that of the original is in ``evidence["source"]``.

    Raises:
        CheckpointError: If the file is damaged, of another schema version, or contradicts itself.
    """
    document, tensors = _load(path)
    config = _checked_config(document, path)
    offset = document["energy_offset"]
    if not isinstance(offset, int | float) or not np.isfinite(offset):
        raise CheckpointError(f"{path}: energy_offset is {offset!r}, expected a finite number")
    energies = tensors.pop(_ELEMENT_ENERGIES, torch.zeros(0, dtype=torch.float64))
    if energies.shape != (len(config.elements),) or not torch.isfinite(energies).all():
        raise CheckpointError(
            f"{path}: element_energies has shape {tuple(energies.shape)}, "
            f"expected ({len(config.elements)},) finite energies"
        )
    arrays = {name.removeprefix(_NETWORK): value for name, value in tensors.items()}
    return Potential(
        network=fill_network(config, arrays, str(path)),
        form=_checked_form(document["form"], path),
        element_energies=energies.to(torch.float64).numpy(),
        energy_offset=float(offset),
        provenance=_provenance(document["provenance"], config.elements, path),
    )


def _weights(potential: Potential) -> dict[str, Tensor]:
    return {
        name: value.detach().cpu().contiguous()
        for name, value in potential.network.state_dict().items()
    }


def _compact(value: Tensor) -> Tensor:
    """In float32 if every value survives it, else in float64."""
    narrow = value.to(torch.float32)
    return narrow if torch.equal(narrow.to(value.dtype), value) else value.to(torch.float64)


def _document(potential: Potential, manifest: Mapping[str, Any] | None = None) -> str:
    """The JSON document.

    Raises:
        CheckpointError: If the evidence holds something that JSON cannot.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "config": potential.config.to_json(),
        "form": asdict(potential.form),
        "energy_offset": potential.energy_offset,
        "provenance": asdict(potential.provenance),
    }
    if manifest is not None:
        content[MANIFEST_KEY] = manifest
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the description is not valid JSON: {error}") from error


def _compare(found: Potential, meant: Potential) -> None:
    """Refuse a file that does not hold what it should.

    Raises:
        CheckpointError: If anything but the provenance differs.
    """
    stored = _weights(found)
    same = (
        found.config == meant.config
        and found.form == meant.form
        and found.energy_offset == meant.energy_offset
        and np.array_equal(found.element_energies, meant.element_energies)
        and all(torch.equal(stored[name].to(v.dtype), v) for name, v in _weights(meant).items())
    )
    if not same:
        raise CheckpointError(
            "the file does not read back as it was written; nothing was replaced",
            hint="the disk may be full or faulty",
        )


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and all tensors.

    Raises:
        CheckpointError: If the file is not a safetensors file of ours.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist or is not a file")
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            metadata = stream.metadata() or {}
            names = [name for name in stream.keys() if not name.startswith(_CORE)]  # noqa: SIM118
            tensors = {name: stream.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file: {error}", hint="copy or download it again"
        ) from error
    if METADATA_KEY not in metadata:
        raise CheckpointError(
            f"{path} is a safetensors file without the metadata {METADATA_KEY!r}",
            hint="only files that m3compress wrote say which M3GNet the weights belong to",
        )
    try:
        document = json.loads(metadata[METADATA_KEY])
    except ValueError as error:
        raise CheckpointError(f"the metadata of {path} is not JSON: {error}") from error
    return _checked_document(document, path), tensors


def _checked_document(document: Any, path: Path) -> dict[str, Any]:
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema version {version!r}, expected {SCHEMA_VERSION}", hint=_REWRITE
        )
    absent = [key for key in _KEYS if key not in document]
    if absent:
        raise CheckpointError(f"the metadata of {path} lacks {', '.join(absent)}", hint=_REWRITE)
    return dict(document)


def _checked_config(document: Mapping[str, Any], path: Path) -> M3GNetConfig:
    """The configuration, whose words must all be known ones.

    Raises:
        CheckpointError: If it is not a configuration of this version.
    """
    if not isinstance(document["config"], dict):
        raise CheckpointError(f"{path}: the configuration is not a JSON object", hint=_REWRITE)
    config = M3GNetConfig.from_json(document["config"])
    words = {
        "edge_basis": (config.edge_basis, get_args(Basis)),
        "triplet_basis": (config.triplet_basis, get_args(Basis)),
        "message_activation": (config.message_activation, get_args(Activation)),
        "convention": (config.convention, tuple(CONVENTIONS.values())),
        "edge_bias": (config.edge_bias, (True, False)),
    }
    for name, (value, known) in words.items():
        if value not in known:
            raise CheckpointError(f"{path}: {name} is {value!r}, which is unknown", hint=_REWRITE)
    return config


def _checked_form(values: Any, path: Path) -> ThreeBodyForm:
    try:
        return ThreeBodyForm(**values)
    except (TypeError, FormError) as error:
        raise CheckpointError(
            f"{path}: {values!r} is not a three-body form", hint=_REWRITE
        ) from error


def _provenance(values: Any, elements: Sequence[str], path: Path) -> Provenance:
    """This file as the origin, with evidence, first origin, domain and record kept.

    Raises:
        CheckpointError: If they are not what they should be.
    """
    try:
        original = Provenance(**values)
        evidence, record = dict(original.evidence), dict(original.record)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the provenance is not one: {error}", hint=_REWRITE
        ) from error
    problem = problem_with(original.shortest, elements)
    if problem is not None:
        raise CheckpointError(f"{path}: {problem}", hint=_REWRITE)
    source = {"format": original.format, "path": original.path, "sha256": original.sha256}
    evidence.setdefault("source", source)
    return Provenance(
        format="native",
        path=str(path),
        sha256=sha256_of(path),
        evidence=evidence,
        shortest=dict(original.shortest),
        record=record,
    )
