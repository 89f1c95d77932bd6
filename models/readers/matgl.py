"""matgl checkpoints of every era: ``model.pt`` (arguments), ``state.pt`` (weights), ``model.json``.

matgl saves the same files in every era; which convention they were trained with is not written in
them (see :mod:`m3compress.models.detection`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from m3compress.contract.distances import problem_with
from m3compress.contract.files import sha256_of
from m3compress.errors import CheckpointError, UnsupportedModelError
from m3compress.models.config import CONVENTIONS, Basis, M3GNetConfig
from m3compress.models.potential import Potential, Provenance, Writer, native_form
from m3compress.models.readers.arrays import as_float64, fill_network, load_torch
from m3compress.models.readers.matgl_versions import writer_of, writer_of_training

FILES = ("model.pt", "state.pt", "model.json")

#: Where ``model.json`` has the shortest distances of the training domain, in its metadata.
SHORTEST = "shortest_distances"

#: Convention that is assumed until the evidence is weighed: the newest one.
PROVISIONAL = CONVENTIONS["matgl-4.1"]


_CUTOFF_TOLERANCE = 5e-3  # relative; weights may be stored in bfloat16


def looks_like_matgl(path: Path) -> bool:
    """Whether ``path`` is a directory with matgl's files, or one of those files."""
    if path.is_dir():
        return any((path / name).exists() for name in FILES)
    return path.name in FILES


def read_matgl(path: Path) -> Potential:
    """Read a matgl potential.

    Args:
        path: The directory, or the path of its ``model.pt``, ``state.pt`` or ``model.json``.

    Returns:
        The potential in float64 in the provisional convention.

    Raises:
        CheckpointError: If files are missing, damaged or contradict each other.
        UnsupportedModelError: If it is not an M3GNet potential that can be treated exactly.
    """
    directory = path if path.is_dir() else path.parent
    absent = [name for name in FILES if not (directory / name).is_file()]
    if absent:
        raise CheckpointError(
            f"{directory} lacks {', '.join(absent)}",
            hint=f"a matgl model is three files side by side: {', '.join(FILES)}",
        )
    kind, arguments = read_arguments(directory)
    state = load_torch(directory / "state.pt")
    if not isinstance(state, dict):
        raise CheckpointError(f"{directory} does not hold a matgl model's state_dict")
    origin = Provenance(format="matgl", path=str(path), sha256=sha256_of(directory / "state.pt"))
    potential = assemble(kind, arguments, state, directory / "state.pt", origin)
    known = _known_distances(directory, potential.elements)
    return replace(potential, provenance=replace(potential.provenance, shortest=known))


def read_arguments(directory: Path) -> tuple[str, dict[str, Any]]:
    """Class and arguments of a model: ``model.json`` names the one, ``model.pt`` holds the others.

    Raises:
        CheckpointError: If one of them is missing or damaged.
    """
    description = _read_json(directory / "model.json")
    arguments = load_torch(directory / "model.pt")
    if not isinstance(arguments, dict):
        raise CheckpointError(f"{directory} does not hold a matgl model's arguments")
    return str(description["@class"]), {**arguments, "@module": description.get("@module", "")}


def _known_distances(directory: Path, elements: tuple[str, ...]) -> dict[str, float]:
    """Shortest distances of the training domain, which our own writer puts into the metadata.

    Raises:
        CheckpointError: If they are garbled.
    """
    metadata = _read_json(directory / "model.json").get("metadata")
    distances = metadata.get(SHORTEST) if isinstance(metadata, dict) else None
    if distances is None:
        return {}
    if problem := problem_with(distances, elements):
        raise CheckpointError(f"{directory / 'model.json'}: {problem}")
    return dict(distances)


def assemble(
    kind: str,
    arguments: Mapping[str, Any],
    state: Mapping[str, Any],
    weights_file: Path,
    origin: Provenance,
) -> Potential:
    """A potential out of what matgl saves, whichever files it came in.

    Args:
        kind: Class of what was saved: ``Potential``, or that of a bare network.
        arguments: Its arguments, as in ``model.pt``.
        state: Its ``state_dict``, or a checkpoint of a Lightning training that holds one.
        weights_file: Where the state is from, for messages.
        origin: The provenance of the potential.

    Raises:
        CheckpointError: If arguments and weights contradict each other or are no numbers.
        UnsupportedModelError: If it is not an M3GNet potential that can be treated exactly.
    """
    network_arguments = _network_arguments(kind, arguments)
    origin = replace(origin, writer=_writer(kind, arguments, network_arguments, state))
    state = _without_training(state)
    # A bare network (matgl.models.M3GNet.save) has no "model." prefix; torch.compile adds another.
    weights = {
        name.removeprefix("model.").removeprefix("_orig_mod."): value
        for name, value in state.items()
    }
    config = _configure(network_arguments)
    _check_cutoff(weights, config, weights_file)
    arrays = _rename(weights, config)
    std, mean = (
        _scalar(state, arguments, "data_std", 1.0),
        _scalar(state, arguments, "data_mean", 0.0),
    )
    arrays["scales"] = torch.full((len(config.elements),), std, dtype=torch.float64)
    return Potential(
        network=fill_network(config, arrays, str(weights_file)),
        form=native_form(config.convention),
        element_energies=_element_energies(state, arguments, len(config.elements)),
        energy_offset=mean,
        provenance=origin,
    )


def _check_cutoff(weights: Mapping[str, Tensor], config: M3GNetConfig, path: Path) -> None:
    """The cutoff that the stored bases were made with must be that of the arguments.

    Raises:
        CheckpointError: If it is another one.
    """
    for name in ("bond_expansion.rbf.cutoff", "basis_expansion.sbf.cutoff"):
        if name not in weights:
            continue
        stored = as_float64(weights[name], f"{path}: {name}")
        if stored.numel() != 1 or not abs(stored.item() / config.cutoff - 1) < _CUTOFF_TOLERANCE:
            raise CheckpointError(
                f"{path} was trained with a cutoff of {stored.tolist()} Å, but its arguments say "
                f"{config.cutoff:g} Å"
            )


def _without_training(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors of the model by matgl's names, out of a state_dict of the model or of its training.

    Lightning puts the ``state_dict`` beside the state of the training, and its module has the
    potential as ``model``: ``model.model.embedding…``, ``model.element_refs…``.
    """
    inner = state.get("state_dict", state)
    if not isinstance(inner, Mapping):
        raise CheckpointError(f"state_dict is a {type(inner).__name__}, expected a dictionary")
    tensors = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
    if not _is_of_training(inner):
        return tensors
    outer = "model."
    return {
        name.removeprefix(outer): value for name, value in tensors.items() if name.startswith(outer)
    }


def _is_of_training(state: Mapping[str, Any]) -> bool:
    return any(str(name).startswith("model.model.") for name in state)


def _writer(
    kind: str, arguments: Mapping[str, Any], network: Mapping[str, Any], state: Mapping[str, Any]
) -> Writer | None:
    """Who wrote a model; beside a training, arguments may be older than it."""
    written = writer_of(arguments if kind == "Potential" else None, network)
    if "state_dict" in state or _is_of_training(state):
        return writer_of_training(state.get("hyper_parameters"), written)
    return written


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(document, dict) or "@class" not in document:
        raise CheckpointError(f"{path} does not describe a matgl model: it has no '@class'")
    return document


def _network_arguments(outer: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the M3GNet in the potential, from ``model.pt``; class from ``model.json``.

    Raises:
        UnsupportedModelError: If the potential or the network is of another class or variant.
    """
    inner: Any = arguments.get("model") if outer == "Potential" else {"@class": outer, **arguments}
    if not isinstance(inner, dict):
        raise UnsupportedModelError(
            f"a matgl {outer} is not supported", hint="give a matgl Potential around an M3GNet"
        )
    kind = str(inner.get("@class", outer))
    if kind != "M3GNet":
        raise UnsupportedModelError(
            f"the network is a {kind}; only M3GNet has the three-body block that is taken out here"
        )
    found = {"@module": inner.get("@module", ""), **dict(inner.get("init_args", inner))}
    _refuse_variants(found, arguments)
    return found


def _refuse_variants(found: Mapping[str, Any], potential: Mapping[str, Any]) -> None:
    """Name what cannot be treated exactly, and why."""
    reasons = {
        "use_phi": "the factorisation does not hold for spherical harmonics that depend on φ",
        "is_intensive": "it predicts a property, not an energy that is a sum over atoms",
        "include_state": "state features couple all atoms of a structure",
    }
    for name, reason in reasons.items():
        if found.get(name, name == "is_intensive"):
            raise UnsupportedModelError(f"M3GNet with {name}=True is not supported: {reason}")
    allowed = {
        "task_type": ("regression", "a classifier has no energy"),
        "rbf_type": (
            "SphericalBessel",
            "only spherical Bessel bases were ever used for potentials",
        ),
        "activation_type": ("swish", "the exported graph is built for SiLU"),
        "ntargets": (1, "a potential has one energy"),
    }
    for name, (expected, reason) in allowed.items():
        if found.get(name, expected) != expected:
            raise UnsupportedModelError(
                f"M3GNet with {name}={found[name]!r} is not supported "
                f"(expected {expected!r}): {reason}"
            )
    if potential.get("calc_repuls"):
        raise UnsupportedModelError(
            "a potential with a ZBL repulsion (calc_repuls=True) is not supported",
            hint="the repulsion is not part of M3GNet and would be lost",
        )


def _configure(found: Mapping[str, Any]) -> M3GNetConfig:
    """Configuration from the arguments."""
    try:
        basis: Basis = "smooth" if found["use_smooth"] else "bessel"
        units = int(found["units"])
        return M3GNetConfig(
            elements=tuple(str(symbol) for symbol in found["element_types"]),
            cutoff=float(found["cutoff"]),
            three_body_cutoff=float(found["threebody_cutoff"]),
            max_n=int(found["max_n"]),
            max_l=int(found["max_l"]),
            n_blocks=int(found["nblocks"]),
            node_width=int(found["dim_node_embedding"]),
            edge_width=int(found["dim_edge_embedding"]),
            hidden=(units, units),
            # matgl's WeightedReadOut prepends the input width twice: in → in → units → units → 1.
            readout_hidden=(int(found["dim_node_embedding"]), units, units),
            edge_basis=basis,
            triplet_basis=basis,
            edge_bias=True,
            message_activation="identity",
            convention=PROVISIONAL,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"model.pt lacks or garbles an argument of M3GNet: {error}"
        ) from error


_PATTERNS = (
    (r"embedding\.layer_node_embedding\.weight", "embedding.weight"),
    (r"embedding\.layer_edge_embedding\.layers\.0\.(weight|bias)", r"edge_embedding.\1"),
    (
        r"three_body_interactions\.(\d+)\.update_network_atom\.layers\.0\.(weight|bias)",
        r"blocks.\1.three_body.atom_gate.\2",
    ),
    (
        r"three_body_interactions\.(\d+)\.update_network_bond\.(layers|gates)\.(\d+)\.(weight)",
        r"blocks.\1.three_body.update.\2.\3.\4",
    ),
    (
        r"graph_layers\.(\d+)\.conv\.(edge|node)_update_func\.(layers|gates)\.(\d+)\.(weight|bias)",
        r"blocks.\1.\2_update.\3.\4.\5",
    ),
    (r"graph_layers\.(\d+)\.conv\.(edge|node)_weight_func\.weight", r"blocks.\1.\2_weight.weight"),
    (r"final_layer\.gated\.(layers|gates)\.(\d+)\.(weight|bias)", r"readout.\1.\2.\3"),
)

#: Tensors that repeat the arguments or belong to the potential around the network.
_IGNORED = re.compile(r".*\.cutoff$|^data_(mean|std)$|^element_refs\.|.*\.(rbf|sbf)\..*")


def _rename(weights: Mapping[str, Tensor], config: M3GNetConfig) -> dict[str, Tensor | np.ndarray]:
    """Matgl's names → ours: ``layers``/``gates`` hold activations at odd positions, ours do not."""
    renamed: dict[str, Tensor | np.ndarray] = {}
    for name, value in weights.items():
        if _IGNORED.match(name):
            continue
        for pattern, replacement in _PATTERNS:
            ours, matched = re.subn(rf"^{pattern}$", replacement, name)
            if matched:
                renamed[_halve_layer_index(ours)] = value
                break
        else:
            raise CheckpointError(
                f"state.pt holds an unexpected tensor {name} for {config.n_blocks} blocks"
            )
    return renamed


def _halve_layer_index(name: str) -> str:
    def rename(match: re.Match[str]) -> str:
        branch = "value" if match[1] == "layers" else "gate"
        return f".{branch}.{int(match[2]) // 2}."

    return re.sub(r"\.(layers|gates)\.(\d+)\.", rename, name)


def _scalar(
    state: Mapping[str, Tensor], arguments: Mapping[str, Any], name: str, default: float
) -> float:
    value = state.get(name, arguments.get(name))
    value = default if value is None else value
    # Python's numbers are float64, which torch would round to float32.
    number = as_float64(
        value if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64), name
    ).numpy()
    if number.size != 1 or not np.isfinite(number).all():
        raise CheckpointError(f"{name} is {number.tolist()}, expected one finite number")
    return float(number.item())


def _element_energies(
    state: Mapping[str, Tensor], arguments: Mapping[str, Any], n_elements: int
) -> np.ndarray:
    value = state.get("element_refs.property_offset")
    if value is None:
        value = arguments.get("element_refs")
    if value is None:
        return np.zeros(n_elements)
    energies: np.ndarray = as_float64(value, "element_refs").numpy().reshape(-1)
    if energies.shape != (n_elements,) or not np.isfinite(energies).all():
        raise CheckpointError(
            f"element_refs has shape {energies.shape}, expected ({n_elements},) finite energies"
        )
    return energies
