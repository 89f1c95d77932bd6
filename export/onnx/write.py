"""The target ``onnx``: a potential as an ONNX graph with its manifest inside."""

from __future__ import annotations

from m3compress.contract.backends import backend_named
from m3compress.export.onnx.build import build_onnx, describe, serialize
from m3compress.export.targets import Order, Written
from m3compress.models.potential import Potential


def default_suffix() -> str:
    """What the name of a file ends in unless the user gives one."""
    return backend_named("onnx").suffix


def write(potential: Potential, order: Order) -> Written:
    """Trace, lower and describe a potential.

    Raises:
        ExportError: If its form has no padded-table version, or the trace cannot be lowered.
    """
    model = build_onnx(potential, precision=order.precision)
    manifest = describe(potential, reason=order.reason, precision=order.precision)
    order.report("trace", f"{len(model.graph.node)} nodes, no scatter, dynamic n_atoms, K, K_in")
    return Written(serialize(model, manifest), manifest)
