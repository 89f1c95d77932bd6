"""Units and sign conventions of the whole project (see ``docs/conventions.md``).

Lengths are in Å, energies in eV, forces in eV/Å, stresses in eV/Å³, masses in amu, times in fs.
"""

from __future__ import annotations

from typing import Final

ENERGY_UNIT: Final = "eV"
LENGTH_UNIT: Final = "Å"
FORCE_UNIT: Final = "eV/Å"
STRESS_UNIT: Final = "eV/Å^3"

MEV_PER_EV: Final = 1000.0

#: Row and column of the 3x3 stress for each Voigt component (xx, yy, zz, yz, xz, xy), as in ASE.
VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
