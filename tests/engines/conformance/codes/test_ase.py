"""Calculators of ASE, ours and another, by the contract."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from pair_potential import PairPotential, salt

from m3compress.engines.calculators import CalculatorEvaluator
from m3compress.engines.codes.ase import EvaluatorCalculator
from m3compress.engines.conformance.codes.ase import AseCode, open_ase
from m3compress.engines.conformance.contract import examine


def test_our_calculator_keeps_the_contract():
    found = examine(AseCode(EvaluatorCalculator(PairPotential())), PairPotential(), salt())
    assert found.broken == ()
    assert all(clause.holds for clause in found.clauses)


def test_the_calculator_of_a_file(silica_artefact):
    code = open_ase(silica_artefact, 1)
    assert code.gives == {"virial", "virials of atoms", "energies of atoms"}
    assert "Calculator" in code.title


def test_what_asks_a_calculator_of_others_is_judged_too():
    # No error of Lennard-Jones is ours: it makes NaN of atoms in one place.
    def argon():
        return LennardJones(sigma=2.6, epsilon=0.3, rc=5.0, smooth=True)

    code = AseCode(argon())
    reference = CalculatorEvaluator(argon(), "Lennard-Jones", cutoff=5.0)
    found = examine(code, reference, bulk("Cu", a=4.1, cubic=True))
    held = {clause.name for clause in found.clauses if clause.holds}
    assert {"energy", "forces", "virial", "energies of atoms", "images", "wrapping"} <= held
    assert "overlapping atoms" in found.broken
    assert "unknown element" in {clause.name for clause in found.clauses if clause.holds is None}


def test_a_code_that_promises_energies_of_atoms_and_has_none():
    class Promises(EMT):
        implemented_properties = EMT.implemented_properties

        def get_property(self, name, atoms=None, allow_calculation=True):
            if name == "energies":
                return super().get_property("no such", atoms, allow_calculation)
            return super().get_property(name, atoms, allow_calculation)

    found = AseCode(Promises()).evaluate(bulk("Cu", cubic=True))
    assert np.isnan(found.energies).all()
    assert np.isfinite(found.energy)
