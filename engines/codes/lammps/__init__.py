"""LAMMPS: the pair style ``m3compress`` on any number of ranks, and a fix for one, from Python.

The C++ of the pair style stands here, too, under the license of LAMMPS: see ``LICENSE`` beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m3compress.engines.codes.lammps.fix_external import Attached as Attached
    from m3compress.engines.codes.lammps.fix_external import attach as attach
    from m3compress.engines.codes.lammps.opening import start as start

__all__ = ["Attached", "attach", "start"]


def __getattr__(name: str) -> Any:
    """Import on demand: LAMMPS asks for the folder of the plugin at every start."""
    if name == "start":
        from m3compress.engines.codes.lammps.opening import start

        return start
    if name in __all__:
        from m3compress.engines.codes.lammps import fix_external

        return getattr(fix_external, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
