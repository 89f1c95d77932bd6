"""Inputs for LAMMPS, and what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from m3compress.engines.codes.lammps.structure import types_of


def header(atoms: Atoms, name: str, style: str = "", *, model: Path) -> str:
    """A box with atoms, and the pair style on them."""
    symbols = " ".join(types_of(atoms))
    boundary = " ".join("p" if periodic else "s" for periodic in atoms.pbc)
    return f"""
clear
units metal
atom_modify map array
boundary {boundary}
read_data {name}.data
pair_style m3compress {style}
pair_coeff * * "{model}" {symbols}
"""


def table(path: Path) -> np.ndarray:
    """Rows of a dump, by atom, without their numbers."""
    return np.loadtxt(path, skiprows=9, ndmin=2)[:, 1:]
