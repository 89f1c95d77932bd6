"""MatterSim v1 checkpoints: one ``.pth`` with arguments, weights and the state of the training.

The layout is what ``mattersim.forcefield.potential.Potential.save`` writes (mattersim 1.2.3): plain
values and tensors, so that nothing has to be unpickled. Only ``model_args`` and ``model`` are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from m3compress.contract.files import sha256_of
from m3compress.errors import CheckpointError, UnsupportedModelError
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.potential import Potential, Provenance, native_form
from m3compress.models.readers.arrays import fill_network, load_torch

SUFFIX = ".pth"

_CUTOFF_TOLERANCE = 1e-5  # Å; MatterSim keeps the cutoff once as a number and once in float32
_LARGEST_ORDER = 4  # SphericalBasisLayer tabulates four zeros of j_0 … j_3


def looks_like_mattersim(path: Path) -> bool:
    """Whether ``path`` is a file with MatterSim's suffix."""
    return path.is_file() and path.suffix == SUFFIX


def read_mattersim(path: Path) -> Potential:
    """Read a MatterSim v1 potential.

    Args:
        path: The ``.pth`` file.

    Returns:
        The potential in float64, convention ``mattersim``.

    Raises:
        CheckpointError: If the file is damaged or contradicts itself.
        UnsupportedModelError: If it is another network, or of a size for which MatterSim's basis is
            inconsistent.
    """
    document = load_torch(path)
    arguments, state = _sections(document, path)
    config = _configure(arguments)
    _refuse_inconsistent_basis(config)
    _check_cutoff(state, config, path)
    arrays = _rename(state, path)
    # One row per element from Z = 0 on; nothing has Z = 0.
    arrays["embedding.weight"] = arrays["embedding.weight"].T[1:]
    arrays["scales"] = arrays["scales"][1:]
    shifts = arrays.pop("shifts")[1:].to(torch.float64).numpy()
    return Potential(
        network=fill_network(config, arrays, str(path)),
        form=native_form(config.convention),
        element_energies=_checked_energies(shifts, config, path),
        energy_offset=0.0,
        provenance=Provenance(format="mattersim", path=str(path), sha256=sha256_of(path)),
    )


def _sections(document: Any, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The arguments and the state_dict.

    Raises:
        CheckpointError: If the file is not laid out like one of MatterSim's.
        UnsupportedModelError: If it names another architecture.
    """
    if not isinstance(document, dict) or not {"model_args", "model"} <= set(document):
        found = (
            sorted(map(str, document)) if isinstance(document, dict) else type(document).__name__
        )
        raise CheckpointError(
            f"{path} is not a MatterSim checkpoint: it holds {found}, not model_args and model",
            hint="save it with mattersim's Potential.save; of a matgl model give the directory",
        )
    name = str(document.get("model_name", "m3gnet"))
    if name.lower() != "m3gnet":
        raise UnsupportedModelError(
            f"{path} holds the MatterSim architecture {name!r}, expected 'm3gnet'"
        )
    arguments, state = document["model_args"], document["model"]
    if not isinstance(arguments, dict) or not isinstance(state, dict):
        raise CheckpointError(
            f"{path}: model_args and model are not the dictionaries they should be"
        )
    return arguments, {str(key): value for key, value in state.items() if isinstance(value, Tensor)}


def _configure(arguments: Mapping[str, Any]) -> M3GNetConfig:
    try:
        units = int(arguments["units"])
        return M3GNetConfig(
            elements=tuple(chemical_symbols[1 : int(arguments["max_z"]) + 1]),
            cutoff=float(arguments["cutoff"]),
            three_body_cutoff=float(arguments["threebody_cutoff"]),
            max_n=int(arguments["max_n"]),
            max_l=int(arguments["max_l"]),
            n_blocks=int(arguments["num_blocks"]),
            node_width=units,
            edge_width=units,
            hidden=(units,),
            readout_hidden=(units, units),
            edge_basis="smooth",
            triplet_basis="bessel",
            edge_bias=False,
            message_activation="silu",
            convention=CONVENTIONS["mattersim"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"model_args lacks or garbles an argument: {error}") from error


def _refuse_inconsistent_basis(config: M3GNetConfig) -> None:
    """MatterSim's ``SphericalBasisLayer`` is M3GNet's triplet basis only for max_n = max_l ≤ 4.

    It runs over max_n orders with max_l zeros each, while the angular factor beside it runs over
    max_l orders with max_n columns each: for unequal sizes a column holds j_l'·Y_l with l' ≠ l.
    """
    if config.max_n != config.max_l:
        raise UnsupportedModelError(
            f"MatterSim with max_n={config.max_n} and max_l={config.max_l} is not supported: its "
            "SphericalBasisLayer swaps the two and pairs radial and angular functions of different "
            "order unless they are equal",
            hint="the published models have max_n = max_l = 4",
        )
    if config.max_l > _LARGEST_ORDER:
        raise UnsupportedModelError(
            f"MatterSim with max_l={config.max_l} is not supported: "
            f"its SphericalBasisLayer ends at {_LARGEST_ORDER}"
        )


def _check_cutoff(state: Mapping[str, Tensor], config: M3GNetConfig, path: Path) -> None:
    """The cutoff for which the stored basis was made must be that of the arguments."""
    stored = state.get("rbf.r_max")
    if stored is None:
        return
    if stored.numel() != 1 or not abs(float(stored) - config.cutoff) < _CUTOFF_TOLERANCE:
        raise CheckpointError(
            f"{path} was trained with a cutoff of {stored.tolist()} Å, but its model_args say "
            f"{config.cutoff:g} Å"
        )


_LAYER = r"(g|sigma)\.(\d+)\.linear\.(weight|bias)"
_PATTERNS = (
    (r"atom_embedding\.mlp\.0\.linear\.weight", "embedding.weight"),
    (r"edge_encoder\.mlp\.0\.linear\.weight", "edge_embedding.weight"),
    (
        r"graph_conv\.(\d+)\.three_body\.atom_mlp\.linear\.(weight|bias)",
        r"blocks.\1.three_body.atom_gate.\2",
    ),
    (
        rf"graph_conv\.(\d+)\.three_body\.edge_gate_mlp\.{_LAYER}",
        r"blocks.\1.three_body.update.\2.\3.\4",
    ),
    (rf"graph_conv\.(\d+)\.gated_mlp_edge\.{_LAYER}", r"blocks.\1.edge_update.\2.\3.\4"),
    (rf"graph_conv\.(\d+)\.gated_mlp_atom\.{_LAYER}", r"blocks.\1.node_update.\2.\3.\4"),
    (r"graph_conv\.(\d+)\.edge_layer_edge\.linear\.weight", r"blocks.\1.edge_weight.weight"),
    (r"graph_conv\.(\d+)\.edge_layer_atom\.linear\.weight", r"blocks.\1.node_weight.weight"),
    (rf"final\.{_LAYER}", r"readout.\1.\2.\3"),
    (r"normalizer\.scale", "scales"),
    (r"normalizer\.shift", "shifts"),
)
_WORDS = {".g.": ".value.", ".sigma.": ".gate."}

#: Constants of the two bases, which are recomputed here in float64.
_IGNORED = re.compile(r"^(rbf|sbf)\.")


def _rename(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """MatterSim's names → ours."""
    arrays: dict[str, Tensor] = {}
    for name, value in state.items():
        if _IGNORED.match(name):
            continue
        for pattern, replacement in _PATTERNS:
            ours, matched = re.subn(rf"^{pattern}$", replacement, name)
            if matched:
                for theirs, word in _WORDS.items():
                    ours = ours.replace(theirs, word)
                arrays[ours] = value
                break
        else:
            raise CheckpointError(f"{path} holds an unexpected tensor {name}")
    for needed, dimensions in (("embedding.weight", 2), ("scales", 1), ("shifts", 1)):
        if needed not in arrays or arrays[needed].ndim != dimensions:
            raise CheckpointError(
                f"{path} lacks {needed} with {dimensions} axes: it is not a whole MatterSim model"
            )
    return arrays


def _checked_energies(shifts: np.ndarray, config: M3GNetConfig, path: Path) -> np.ndarray:
    if shifts.shape != (len(config.elements),) or not np.isfinite(shifts).all():
        raise CheckpointError(
            f"{path}: normalizer.shift has shape {shifts.shape} without row 0, "
            f"expected ({len(config.elements)},) finite energies"
        )
    return shifts
