"""Calculators that nobody should learn from."""

from __future__ import annotations

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Raises:
    def __init__(self):
        raise RuntimeError("it never works")


class NoStress(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


class Undecided(Calculator):
    implemented_properties = ("energy", "forces", "stress")
    asked = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.asked += 1
        forces = np.full((len(atoms), 3), float(self.asked))
        self.results = {"energy": 0.0, "forces": forces, "stress": np.zeros(6)}


class Lost(Calculator):
    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        forces = np.full((len(atoms), 3), np.nan)
        self.results = {"energy": 0.0, "forces": forces, "stress": np.zeros(6)}
