"""How far a code may be from the reference; what right ones show stands beside each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the contract.

    In brackets the largest of three exported files against PyTorch in float64: built-in silica, the
    TensorFlow original, and M3GNet-MatPES-r2SCAN.

    What a symmetry may change has the limits of energy and forces.

    Attributes:
        energy: In eV per atom (2.3·10⁻⁶).
        force: In eV/Å up to 10 eV/Å, relative beyond: in parts of a tenth of the largest
            (8·10⁻⁶).
        virial: In eV per atom, likewise; 5·10⁻⁵ eV in 8 Å³ are 10⁻³ GPa (10⁻⁵).
        atom_virial: Of one atom in eV, likewise (8·10⁻⁶).
        atom_energy: Of one atom in eV, likewise (2.3·10⁻⁶).
        drift: Of the total energy over 1 ps in meV per atom and ps (0.02).
        departure: Of the total energy from its mean in meV per atom (0.4, by steps of 2 fs).
    """

    energy: float = 5e-6
    force: float = 5e-5
    virial: float = 5e-5
    atom_virial: float = 5e-5
    atom_energy: float = 1e-5
    drift: float = 0.2
    departure: float = 1.0
