"""Write a potential in matgl's own format: ``model.pt`` (arguments), ``state.pt``, ``model.json``.

The files are what ``Potential.save`` of matgl 4.1 writes for the same network, so that
``matgl.load_model`` reads them; names are the inverse of those in
:mod:`m3compress.models.readers.matgl`.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from m3compress.contract.files import write_atomically
from m3compress.contract.forms import REMOVED, ThreeBodyForm
from m3compress.errors import UnsupportedModelError
from m3compress.models.config import M3GNetConfig
from m3compress.models.potential import Potential

_PATTERNS = (
    (r"embedding\.weight", "embedding.layer_node_embedding.weight"),
    (r"edge_embedding\.(weight|bias)", r"embedding.layer_edge_embedding.layers.0.\1"),
    (
        r"blocks\.(\d+)\.three_body\.atom_gate\.(weight|bias)",
        r"three_body_interactions.\1.update_network_atom.layers.0.\2",
    ),
    (
        r"blocks\.(\d+)\.three_body\.update\.(value|gate)\.(\d+)\.(weight)",
        r"three_body_interactions.\1.update_network_bond.\2.\3.\4",
    ),
    (
        r"blocks\.(\d+)\.(edge|node)_update\.(value|gate)\.(\d+)\.(weight|bias)",
        r"graph_layers.\1.conv.\2_update_func.\3.\4.\5",
    ),
    (r"blocks\.(\d+)\.(edge|node)_weight\.weight", r"graph_layers.\1.conv.\2_weight_func.weight"),
    (r"readout\.(value|gate)\.(\d+)\.(weight|bias)", r"final_layer.gated.\1.\2.\3"),
)

_UPDATE = re.compile(r"blocks\.\d+\.three_body\.update\.value\.\d+\.weight")


def save_matgl(
    potential: Potential, directory: Path, metadata: dict[str, Any] | None = None
) -> None:
    """Write the three files of a potential; each is complete or absent.

    A block that was taken out is written with weights of zero, which is the same.

    Args:
        potential: A potential in the convention ``matgl-4.1``.
        directory: Where to write; made if it does not exist.
        metadata: Plain values for ``model.json``.

    Raises:
        UnsupportedModelError: If matgl has no words for the network.
        M3CompressError: If a file cannot be written.
    """
    require_expressible(potential.config, potential.form)
    if len(set(potential.network.scales.tolist())) > 1:
        raise UnsupportedModelError("matgl's M3GNet cannot hold a scale for each element")
    arguments = potential_arguments(potential)
    description = {
        "@class": "Potential",
        "@module": "matgl.apps.pes",
        "@model_version": 3,
        "metadata": metadata,
        "kwargs": arguments,
    }
    for name, value in {"model.pt": arguments, "state.pt": state_dict(potential)}.items():
        content = io.BytesIO()
        torch.save(value, content)
        write_atomically(directory / name, content.getvalue())
    text = json.dumps(description, indent=4) + "\n"
    write_atomically(directory / "model.json", text.encode())


def potential_arguments(potential: Potential) -> dict[str, Any]:
    """Arguments of matgl's ``Potential``, plain values only."""
    return {
        "model": {
            "@class": "M3GNet",
            "@module": "matgl.models._m3gnet",
            "@model_version": 2,
            "init_args": network_arguments(potential.config),
        },
        "data_mean": float(potential.energy_offset),
        "data_std": float(potential.network.scales[0]),
        "element_refs": [float(energy) for energy in potential.element_energies],
        "calc_forces": True,
        "calc_stresses": True,
        "calc_hessian": False,
        "calc_magmom": False,
        "calc_charge": False,
        "calc_repuls": False,
        "zbl_trainable": False,
        "debug_mode": False,
        "compile_model": False,
        "compile_mode": "reduce-overhead",
    }


def network_arguments(config: M3GNetConfig) -> dict[str, Any]:
    """Arguments of matgl's ``M3GNet``."""
    return {
        "element_types": tuple(config.elements),
        "dim_node_embedding": config.node_width,
        "dim_edge_embedding": config.edge_width,
        "dim_state_embedding": 0,
        "ntypes_state": None,
        "dim_state_feats": None,
        "max_n": config.max_n,
        "max_l": config.max_l,
        "nblocks": config.n_blocks,
        "rbf_type": "SphericalBessel",
        "is_intensive": False,
        "readout_type": "weighted_atom",
        "task_type": "regression",
        "cutoff": config.cutoff,
        "threebody_cutoff": config.three_body_cutoff,
        "units": config.hidden[0],
        "ntargets": 1,
        "use_smooth": config.edge_basis == "smooth",
        "use_phi": False,
        "niters_set2set": 3,
        "nlayers_set2set": 3,
        "field": "node_feat",
        "include_state": False,
        "activation_type": "swish",
        "dropout": None,
    }


def state_dict(potential: Potential) -> dict[str, Tensor]:
    """Weights and buffers under matgl's names, in float32."""
    config = potential.config
    cutoff = torch.tensor(config.cutoff)
    state = {
        "data_mean": torch.tensor(float(potential.energy_offset)),
        "data_std": potential.network.scales[0].detach().clone().to(torch.float32),
        "model.bond_expansion.rbf.cutoff": cutoff,
        "model.basis_expansion.sbf.cutoff": cutoff.clone(),
        "element_refs.property_offset": torch.tensor(
            potential.element_energies, dtype=torch.float32
        ),
    }
    for name, value in potential.network.state_dict().items():
        if name == "scales":
            continue
        written = value.detach().to(torch.float32).contiguous()
        if potential.form == REMOVED and _UPDATE.fullmatch(name):
            # SiLU(0) is 0: a block that adds nothing.
            written = torch.zeros_like(written)
        state[f"model.{_matgl_name(name)}"] = written
    return state


def _matgl_name(name: str) -> str:
    """Our name → matgl's, where activations take the odd positions of ``layers`` and ``gates``."""
    for pattern, replacement in _PATTERNS:
        theirs, matched = re.subn(rf"^{pattern}$", replacement, name)
        if matched:
            return re.sub(r"\.(value|gate)\.(\d+)\.", _double_index, theirs)
    raise UnsupportedModelError(f"matgl's M3GNet has no counterpart of {name}")


def _double_index(match: re.Match[str]) -> str:
    return f".{'layers' if match[1] == 'value' else 'gates'}.{2 * int(match[2])}."


def require_expressible(config: M3GNetConfig, form: ThreeBodyForm) -> None:
    """Refuse what matgl's constructor cannot express.

    Args:
        config: Sizes and convention.
        form: Of the three-body block.

    Raises:
        UnsupportedModelError: Naming the first difference.
    """
    units = config.hidden[0] if config.hidden else config.node_width
    two, three = (units, units), (config.node_width, units, units)
    expected = {
        "convention": (config.convention.name, "matgl-4.1"),
        "hidden": (config.hidden, two),
        "readout_hidden": (config.readout_hidden, three),
        "edge_bias": (config.edge_bias, True),
        "message_activation": (config.message_activation, "identity"),
        "triplet_basis": (config.triplet_basis, config.edge_basis),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise UnsupportedModelError(
                f"matgl's M3GNet cannot hold {name}={found!r}, expected {wanted!r}",
                hint=f"it has gated MLPs of three layers: hidden = {list(two)} and "
                f"readout_hidden = {list(three)} in the file of a student",
            )
    if not form.row.exact and form != REMOVED:
        raise UnsupportedModelError(f"matgl's M3GNet has no three-body block that is {form}")
