"""The target ``native``: a model file with tables and manifest, which the C++ core runs."""

from __future__ import annotations

from typing import Final

import torch

from m3compress.contract.backends import backend_named
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.contract.manifest import BESIDE_ONLY
from m3compress.errors import ExportError
from m3compress.export.native.tables import build_core
from m3compress.export.onnx.build import describe
from m3compress.export.targets import Order, Written
from m3compress.models.potential import Potential
from m3compress.models.readers.native import serialize

#: Forms that the core evaluates.
_FORMS: Final = (FACTORIZED, REMOVED)


def default_suffix() -> str:
    """What the name of a file ends in unless the user gives one."""
    return backend_named("native").suffix


def write(potential: Potential, order: Order) -> Written:
    """Tabulate the radial functions of a potential, and put them beside its weights.

    Raises:
        ExportError: If the core cannot evaluate its form, or not in that precision.
    """
    if potential.form not in _FORMS:
        raise ExportError(
            f"the native core has no three-body block of the form {potential.form}",
            hint="`--three-body factorize` gives the same numbers; or export to ONNX",
        )
    if order.precision != "float32":
        raise ExportError(
            f"the native core has no precision {order.precision!r}",
            hint="it computes in float32 or float64, as whoever opens the file says",
        )
    core = build_core(potential)
    manifest = describe(potential, reason=order.reason).model_copy(
        update={"backend": "native", "tools": {"torch": torch.__version__}}
    )
    inside = manifest.model_dump(mode="json", exclude=set(BESIDE_ONLY))
    content = serialize(potential, core=core, manifest=inside)
    sizes = ", ".join(f"{len(table)} intervals" for table in core.values() if table.ndim == 3)
    order.report("tables", f"quintic splines of {sizes}; {len(content) / 1e6:.1f} MB in all")
    return Written(content, manifest)
