"""The one way in: a path or a Hugging Face name of any known format → a potential."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from m3compress.contract.backends import looks_exported
from m3compress.errors import CheckpointError, MissingDependencyError
from m3compress.models.config import convention as convention_named
from m3compress.models.detection import decide_convention
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import FILES as MATGL_FILES
from m3compress.models.readers.matgl import looks_like_matgl
from m3compress.models.readers.table import Reader, descriptions, file_suffixes, reader_of

#: Organisation in which matgl ≥ 4 looks for a bare name (``HF_MATGL_ORG``, matgl/utils/io.py).
HUB_ORGANISATION = "materialyze"

_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_BARE_NAME = re.compile(r"M3GNet-[\w.-]+")
_A_NAME = "a Hugging Face name (org/name, or M3GNet-...)"
#: Suffixes of weights that nobody here reads; no model on the hub is named like that either.
_FOREIGN_SUFFIXES = (".npz", ".h5", ".zip")


def read_model(
    source: str | Path, *, convention: str | None = None, labels: Path | None = None
) -> Potential:
    """Read a potential of any known format.

    Args:
        source: A path, or a name on the Hugging Face hub (``org/name``; a bare ``M3GNet-...`` is
            looked for where matgl does). What exists as a path is never taken for a name.
        convention: Name of the convention, where the user knows better than the evidence. Only
            matgl's files leave it open.
        labels: Frames with energies and forces, which decide where the file leaves it open.

    Returns:
        The potential in float64 in its convention.

    Raises:
        CheckpointError: If there is no such file or model, or it is damaged or of no known format.
        UnsupportedModelError: If it is not an M3GNet that can be treated exactly.
        ConventionError: If ``convention`` is unknown or contradicts the format, or the evidence
            does not decide.
        StructureError: If the labels cannot be used.
        MissingDependencyError: If a name is given and ``huggingface_hub`` is not installed.
    """
    if convention is not None:
        convention_named(convention)
    path = Path(source).expanduser()
    if path.exists():
        return _read_path(path, convention, labels)
    name = _hub_name(str(source))
    if name is None:
        raise CheckpointError(
            f"{path} does not exist", hint=f"give the path of {_known_sources(', or ')}"
        )
    potential = _read_path(_download(name), convention, labels)
    return replace(potential, provenance=replace(potential.provenance, path=f"hf://{name}"))


def _read_path(path: Path, convention: str | None, labels: Path | None) -> Potential:
    reader = reader_of(path)
    if reader is not None:
        return decide_convention(_read(reader, path), convention, labels)
    if looks_exported(path.name):
        raise CheckpointError(
            f"{path} is an exported model, not a checkpoint: its network cannot be read back",
            hint="look at it with `m3compress inspect`, or run it with m3compress.Calculator",
        )
    raise CheckpointError(
        f"{path} is of an unknown format", hint=f"known are {_known_sources(', ')}"
    )


def _known_sources(separator: str) -> str:
    return separator.join((*descriptions(), _A_NAME))


def _read(reader: Reader, path: Path) -> Potential:
    """Run a reader; what it did not foresee in a garbled file becomes an error about that file."""
    try:
        return reader.read(path)
    except _UNFORESEEN as error:
        raise CheckpointError(
            f"{path} is garbled: {type(error).__name__}: {error}",
            hint="copy or download it again; if it is sound, report this as a bug",
        ) from error


def _hub_name(source: str) -> str | None:
    """``org/name`` if ``source`` can be a name on the hub rather than a path that is missing."""
    name = source.lower()
    if looks_exported(name) or name.endswith((*file_suffixes(), *_FOREIGN_SUFFIXES)):
        return None
    if _BARE_NAME.fullmatch(source):
        return f"{HUB_ORGANISATION}/{source}"
    if _HUB_NAME.fullmatch(source) and not Path(source).parent.is_dir():
        return source
    return None


def _download(name: str) -> Path:
    """Fetch matgl's three files of a repository on the hub (or find them in its cache).

    Raises:
        MissingDependencyError: If ``huggingface_hub`` is not installed.
        CheckpointError: If there is no such model, or no way to it.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} is not a path, and a name on the Hugging Face hub needs huggingface_hub",
            hint="pip install huggingface_hub, or give a path",
        ) from error
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(MATGL_FILES)))
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is neither a path {name} nor a public model of that name on the hub",
            hint="matgl.get_available_pretrained_models() lists the names",
        ) from error
    except Exception as error:  # the hub's own errors, and those of whatever carries its requests
        raise CheckpointError(
            f"{name} could not be downloaded: {(str(error).splitlines() or [repr(error)])[0]}",
            hint="is there a network? Otherwise download the files elsewhere and give their folder",
        ) from error
    if not looks_like_matgl(folder):
        raise CheckpointError(
            f"{name} on the Hugging Face hub holds none of {', '.join(MATGL_FILES)}",
            hint="only matgl's models are read from the hub",
        )
    return folder
