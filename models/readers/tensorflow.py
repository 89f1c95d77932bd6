"""The original M3GNet (Chen & Ong 2022): a Keras configuration beside a TensorFlow checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from m3compress.contract.files import sha256_of
from m3compress.errors import CheckpointError, UnsupportedModelError
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.potential import Potential, Provenance, native_form
from m3compress.models.readers.arrays import fill_network
from m3compress.models.readers.tensorflow_bundle import read_bundle

CONFIG_FILE = "m3gnet.json"
BUNDLE = "m3gnet"

#: A fitted element reference below this (eV) means that no training structure held the element.
_UNTRAINED_REFERENCE = 1e-9


def looks_like_tensorflow(path: Path) -> bool:
    """Whether ``path`` is the checkpoint directory or a file in it."""
    directory = path if path.is_dir() else path.parent
    named = path.is_dir() or path.name == CONFIG_FILE or path.suffix == ".index"
    return named and (directory / CONFIG_FILE).exists()


def read_tensorflow(path: Path) -> Potential:
    """Read the original checkpoint without TensorFlow.

    Args:
        path: The directory, its ``m3gnet.json`` or its ``.index`` file.

    Returns:
        The potential in float64, convention ``tf``.

    Raises:
        CheckpointError: If files are missing, damaged or contradict each other.
        UnsupportedModelError: If it is a variant that cannot be treated exactly.
    """
    directory = path if path.is_dir() else path.parent
    settings = _read_settings(directory / CONFIG_FILE)
    config, kept = _configure(settings)
    arrays = _rename(read_bundle(directory / BUNDLE))
    arrays["embedding.weight"] = arrays["embedding.weight"][kept]
    arrays["scales"] = np.full(len(kept), _number(settings, "std"))
    references = np.asarray(settings["element_refs"], dtype=np.float64)
    return Potential(
        network=fill_network(config, arrays, str(directory)),
        form=native_form(config.convention),
        element_energies=references[kept],
        energy_offset=_number(settings, "mean"),
        provenance=Provenance(
            format="tensorflow",
            path=str(path),
            sha256=sha256_of(directory / f"{BUNDLE}.data-00000-of-00001"),
        ),
    )


def _read_settings(path: Path) -> dict[str, Any]:
    """The ``config`` of the Keras model, which the file holds as JSON inside a JSON string."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document = json.loads(document) if isinstance(document, str) else document
        settings = document["config"]
        name = document["class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not the configuration of a Keras M3GNet: {error}"
        ) from error
    if name != "M3GNet" or not isinstance(settings, dict):
        raise UnsupportedModelError(f"{path} describes a {name}, expected an M3GNet")
    for variant in ("include_states", "is_intensive"):
        if settings.get(variant):
            raise UnsupportedModelError(
                f"an original M3GNet with {variant}=true is not a potential"
            )
    return settings


def _number(settings: Mapping[str, Any], name: str) -> float:
    value = settings.get(name)
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise CheckpointError(f"{CONFIG_FILE}: {name} is {value!r}, expected a finite number")
    return float(value)


def _configure(settings: Mapping[str, Any]) -> tuple[M3GNetConfig, np.ndarray]:
    """Configuration, and the embedding rows (atomic numbers) of the elements it knows."""
    try:
        references = np.asarray(settings["element_refs"], dtype=np.float64)
        kept = np.flatnonzero(np.abs(references) > _UNTRAINED_REFERENCE)
        units = int(settings["units"])
        config = M3GNetConfig(
            elements=tuple(chemical_symbols[z] for z in kept),
            cutoff=float(settings["cutoff"]),
            three_body_cutoff=float(settings["threebody_cutoff"]),
            max_n=int(settings["max_n"]),
            max_l=int(settings["max_l"]),
            n_blocks=int(settings["n_blocks"]),
            node_width=units,
            edge_width=units,
            hidden=(units,),
            readout_hidden=(units, units),
            edge_basis="smooth",
            triplet_basis="bessel",
            edge_bias=False,
            message_activation="silu",
            convention=CONVENTIONS["tf"],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{CONFIG_FILE} lacks or garbles an argument: {error}") from error
    return config, kept


_LAYER = r"(pipe|gate)/layers/(\d+)/(kernel|bias)"
_PATTERNS = (
    (r"featurizer/atom_network/embedding/embeddings", "embedding.weight"),
    (r"feature_adjust/update_func/pipe/layers/0/(kernel)", r"edge_embedding.\1"),
    (
        r"three_interactions/(\d+)/update_network/pipe/layers/0/(kernel|bias)",
        r"blocks.\1.three_body.atom_gate.\2",
    ),
    (
        rf"three_interactions/(\d+)/update_network2/{_LAYER}",
        r"blocks.\1.three_body.update.\2.\3.\4",
    ),
    (rf"graph_layers/(\d+)/bond_network/update_func/{_LAYER}", r"blocks.\1.edge_update.\2.\3.\4"),
    (r"graph_layers/(\d+)/bond_network/weight_func/(kernel)", r"blocks.\1.edge_weight.\2"),
    (rf"graph_layers/(\d+)/atom_network/bond_dense/{_LAYER}", r"blocks.\1.node_update.\2.\3.\4"),
    (r"graph_layers/(\d+)/atom_network/weight_update/(kernel)", r"blocks.\1.node_weight.\2"),
    (rf"final/layers/0/atom_network/update_func/{_LAYER}", r"readout.\1.\2.\3"),
)
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_WORDS = {".pipe.": ".value.", ".kernel": ".weight"}


def _rename(bundle: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """TensorFlow's names → ours; Keras kernels are [in, out], ours [out, in]."""
    arrays: dict[str, Any] = {}
    for name, value in bundle.items():
        for pattern, replacement in _PATTERNS:
            ours, matched = re.subn(rf"^{pattern}{re.escape(_SUFFIX)}$", replacement, name)
            if matched:
                for theirs, word in _WORDS.items():
                    ours = ours.replace(theirs, word)
                arrays[ours] = value.T if "/kernel" in name else value
                break
        else:
            raise CheckpointError(f"the checkpoint holds an unexpected tensor {name}")
    if "embedding.weight" not in arrays:
        raise CheckpointError("the checkpoint holds no element embedding")
    return arrays
