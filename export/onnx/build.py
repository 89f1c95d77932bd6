"""From a potential to an ONNX model with its manifest inside."""

from __future__ import annotations

from typing import Final

import onnx
import torch

import m3compress
from m3compress.contract.manifest import (
    BESIDE_ONLY,
    CONVENTIONS,
    INPUT_NAMES,
    METADATA_KEY,
    OUTPUT_NAMES,
    UNITS,
    Manifest,
    Parity,
    Source,
    Tensor,
    ThreeBodyMethod,
)
from m3compress.errors import ExportError
from m3compress.export.onnx.builder import OPSET
from m3compress.export.onnx.context import Shape
from m3compress.export.onnx.lowering import lower
from m3compress.export.trace import trace
from m3compress.models.network import with_half_mlps
from m3compress.models.potential import Potential

_TABLE: Final[Shape] = ("n_atoms", "K")
_INCOMING: Final[Shape] = ("n_atoms", "K_in")

#: Shape of every tensor of the graph.
SHAPES: Final[dict[str, Shape]] = {
    "species": ("n_atoms",),
    "neighbors": _TABLE,
    "mask": _TABLE,
    "edge_vectors": (*_TABLE, 3),
    "incoming": _INCOMING,
    "incoming_mask": _INCOMING,
    "energies": ("n_atoms",),
    "forces": ("n_atoms", 3),
    "virial": ("n_atoms", 3, 3),
}

_MEANINGS: Final = {
    "species": "index of each atom's element in `elements`",
    "neighbors": "index of the atom at the far end of every slot; any valid index where empty",
    "mask": "1 where a slot holds an edge within the cutoff, else 0",
    "edge_vectors": "r_ij = x_j + S·cell − x_i in Å; any finite value in empty slots",
    "incoming": "flat slots (center·K + slot) that point at each atom; any valid one where empty",
    "incoming_mask": "1 where `incoming` holds a slot, else 0",
    "energies": "network energy of each atom in eV, without the element's reference energy",
    "forces": "−∂E/∂x in eV/Å",
    "virial": "what each atom's edges add to ∂E/∂strain in eV; stress = their sum / volume",
}

_INTEGERS: Final = {"species", "neighbors", "incoming"}


def build_onnx(potential: Potential, *, precision: str = "float32") -> onnx.ModelProto:
    """Trace and lower a potential.

    Args:
        potential: Its ``form`` decides what becomes of the three-body block.
        precision: ``float32``, or ``mixed`` for float16 edge and node updates.

    Returns:
        A checked model without metadata.

    Raises:
        ExportError: If the form is never exported, or the trace cannot be lowered.
    """
    row = potential.form.row
    if not row.exportable:
        raise ExportError(row.refusal, hint=row.instead)
    network = potential.to(torch.float32).network
    if precision == "mixed":
        network = with_half_mlps(network)
    module = trace(network, potential.form)
    model = lower(
        module,
        {name: SHAPES[name] for name in INPUT_NAMES},
        {name: SHAPES[name] for name in OUTPUT_NAMES},
    )
    refuse_reducing_scatters(model)
    return model


def refuse_reducing_scatters(model: onnx.ModelProto) -> None:
    """ONNX Runtime's parallel reducing ScatterND races on the CPU; no exported file may hold one.

    Raises:
        ExportError: If the model holds any Scatter node.
    """
    scatters = sorted({node.op_type for node in model.graph.node if "Scatter" in node.op_type})
    if scatters:
        raise ExportError(
            f"the graph holds {', '.join(scatters)}, which is not safe to run in parallel"
        )


def describe(
    potential: Potential,
    *,
    reason: str,
    precision: str = "float32",
    parity: Parity | None = None,
) -> Manifest:
    """The manifest of an exported potential, without the hash of the file.

    Args:
        potential: What was exported.
        reason: Why its three-body form was chosen.
        precision: As given to :func:`build_onnx`.
        parity: The result of the parity check, once it ran.
    """
    config, origin = potential.config, potential.provenance
    return Manifest(
        created_by=f"m3compress {m3compress.__version__}",
        precision=precision,  # type: ignore[arg-type]
        source=Source(
            format=origin.format,
            name=origin.path.rstrip("/").rsplit("/", 1)[-1],
            sha256=origin.sha256,
            convention=config.convention.name,
            evidence=origin.evidence,
        ),
        elements=config.elements,
        element_energies=tuple(float(energy) for energy in potential.element_energies),
        energy_offset=potential.energy_offset,
        cutoff=config.cutoff,
        three_body_cutoff=config.three_body_cutoff,
        n_blocks=config.n_blocks,
        receptive_field=config.receptive_field,
        three_body=ThreeBodyMethod.of(potential.form, reason),
        shortest_distances=origin.shortest or None,
        units=dict(UNITS),
        conventions=dict(CONVENTIONS),
        inputs=tuple(_tensor(name) for name in INPUT_NAMES),
        outputs=tuple(_tensor(name) for name in OUTPUT_NAMES),
        parity=parity,
        tools={"torch": torch.__version__, "onnx": onnx.__version__, "opset": str(OPSET)},
    )


def _tensor(name: str) -> Tensor:
    dtype = "int64" if name in _INTEGERS else "float32"
    return Tensor(name=name, dtype=dtype, shape=SHAPES[name], meaning=_MEANINGS[name])  # type: ignore[arg-type]


def serialize(model: onnx.ModelProto, manifest: Manifest) -> bytes:
    """The file's bytes, with the manifest in its metadata; the same input gives the same bytes."""
    stamped = onnx.ModelProto()
    stamped.CopyFrom(model)
    stamped.producer_name = "m3compress"
    stamped.producer_version = m3compress.__version__
    onnx.helper.set_model_props(
        stamped, {METADATA_KEY: manifest.model_dump_json(exclude=set(BESIDE_ONLY))}
    )
    content: bytes = stamped.SerializeToString(deterministic=True)
    return content
