"""Checkpoints of matgl's Lightning trainings: a ``.ckpt`` with weights and state of the training.

Lightning does not store the arguments of the network unless they are among the hyperparameters;
matgl leaves them out. They are looked for there, then beside the file, where a model that was
trained on has its ``model.pt`` and ``model.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m3compress.contract.files import sha256_of
from m3compress.errors import CheckpointError
from m3compress.models.potential import Potential, Provenance
from m3compress.models.readers.arrays import load_torch
from m3compress.models.readers.matgl import assemble, read_arguments

SUFFIX = ".ckpt"

_SAVE = (
    "in Python, module = PotentialLightningModule.load_from_checkpoint(FILE, model=...), then "
    "module.model.save(DIR), and give DIR"
)
_BESIDE = f"put model.pt and model.json of the model beside it; or, {_SAVE}"


def looks_like_lightning(path: Path) -> bool:
    """Whether ``path`` is a file with Lightning's suffix."""
    return path.is_file() and path.suffix == SUFFIX


def read_lightning(path: Path) -> Potential:
    """Read a potential out of a checkpoint of its training.

    Args:
        path: The ``.ckpt`` file.

    Returns:
        The potential in float64 in the provisional convention.

    Raises:
        CheckpointError: If the file is damaged, holds more than plain values, is of another
            training, or the arguments are neither in it nor beside it.
        UnsupportedModelError: If it is not an M3GNet potential that can be treated exactly.
    """
    document = load_torch(path, otherwise=_SAVE)
    if not isinstance(document, Mapping) or not isinstance(document.get("state_dict"), Mapping):
        raise CheckpointError(
            f"{path} is not a checkpoint of a Lightning training: it holds no state_dict",
            hint=_SAVE,
        )
    kind, arguments = _held(document) or _beside(path)
    origin = Provenance(format="lightning", path=str(path), sha256=sha256_of(path))
    return assemble(kind, arguments, document, path, origin)


def _held(document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Class and arguments among the hyperparameters, in the layout of matgl's ``model.pt``."""
    kept = document.get("hyper_parameters")
    model = kept.get("model") if isinstance(kept, Mapping) else None
    if not isinstance(model, Mapping):
        return None
    return "Potential", {"model": dict(model)}


def _beside(path: Path) -> tuple[str, Mapping[str, Any]]:
    if not all((path.parent / name).is_file() for name in ("model.pt", "model.json")):
        raise CheckpointError(
            f"{path} holds weights but not the arguments of the network, and there is no model.pt "
            "with a model.json beside it",
            hint=_BESIDE,
        )
    return read_arguments(path.parent)
