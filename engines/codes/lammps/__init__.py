"""LAMMPS: an exported file on one rank, from Python, with nothing to compile."""

from __future__ import annotations

from m3compress.engines.codes.lammps.attach import Attached, attach
from m3compress.engines.codes.lammps.start import start

__all__ = ["Attached", "attach", "start"]
