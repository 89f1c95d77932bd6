"""OpenMM with an exported file: the contract, ensembles, boxes, regions, serialisation."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from md_codes import require

openmm = require("openmm")
openmmml = require("openmmml")

from openmm import app, unit  # noqa: E402

from m3compress.engines.codes import openmm_ml  # noqa: E402
from m3compress.engines.codes.openmm import force, reduced, system  # noqa: E402
from m3compress.engines.conformance.codes.openmm import OpenMMCode, open_openmm  # noqa: E402
from m3compress.engines.conformance.contract import examine  # noqa: E402
from m3compress.errors import M3CompressError, StructureError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

REFERENCE = openmm.Platform.getPlatformByName("Reference")
KJ = units.kJ / units.mol


@pytest.fixture
def quartz():
    return reduced(build_crystal("SiO2-quartz"))[0]


def context_of(made, positions, integrator=None):
    context = openmm.Context(made, integrator or openmm.VerletIntegrator(0.001), REFERENCE)
    context.setPositions(positions / 10)
    return context


def energy_of(context):
    state = context.getState(getEnergy=True)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KJ


def test_it_keeps_the_contract(silica_native, silica):
    code = open_openmm(silica_native, 1)
    found = examine(code, silica, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    open_clauses = {clause.name for clause in found.clauses if clause.holds is None}
    no_energies = {"energies of atoms", "sum of energies of atoms"}
    assert open_clauses == {"slab, open", "virial", "virials of atoms", *no_energies}


@pytest.mark.parametrize(("name", "clause"), [("FORCE", "forces"), ("KILOJOULES_PER_EV", "energy")])
def test_wrong_units_would_not_keep_it(name, clause, silica, monkeypatch):
    monkeypatch.setattr(f"m3compress.engines.codes.openmm.{name}", 96.5)
    monkeypatch.setattr("m3compress.engines.conformance.contract._dynamics", lambda *_: [])
    found = examine(OpenMMCode(silica), silica, build_crystal("SiO2-quartz"))
    assert clause in found.broken


def test_constant_temperature_and_pressure(silica, quartz):
    made = system(silica, quartz)
    made.addForce(openmm.MonteCarloBarostat(1.0, 600.0, 1))
    integrator = openmm.LangevinMiddleIntegrator(600.0, 20.0, 0.001)
    integrator.setRandomNumberSeed(1)
    context = context_of(made, quartz.positions, integrator)
    integrator.step(40)
    state = context.getState(getEnergy=True, getPositions=True, enforcePeriodicBox=True)
    box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom)
    moved = Atoms(
        quartz.numbers,
        state.getPositions(asNumpy=True).value_in_unit(unit.angstrom),
        cell=box,
        pbc=True,
    )
    assert abs(moved.get_volume() / quartz.get_volume() - 1) > 1e-4
    assert energy_of(context) == pytest.approx(silica.evaluate(moved).energy, abs=1e-5)


def test_a_lost_atom_ends_the_run_with_our_message(silica, quartz):
    context = context_of(system(silica, quartz), quartz.positions)
    velocities = np.zeros((len(quartz), 3))
    velocities[2, 0] = np.nan
    context.setVelocities(velocities)
    with pytest.raises(openmm.OpenMMException, match=r"the position of atom 2 .* is not finite"):
        context.getIntegrator().step(2)


def test_boxes_that_openmm_cannot_have(silica, quartz):
    skewed = quartz.copy()
    skewed.cell[1, 0] += 5.0
    with pytest.raises(StructureError, match=r"OpenMM cannot have the box .*reduced\(atoms\)"):
        system(silica, skewed)
    quartz.pbc = (True, True, False)
    with pytest.raises(StructureError, match="periodic in all directions or in none"):
        system(silica, quartz)


def test_reduced_cells_are_the_same_crystal(silica):
    crystal = build_crystal("SiO2-quartz")
    crystal.rattle(0.05, seed=1)
    sheared = crystal.cell.array @ [[1, 0.3, 0], [0, 1, -0.2], [0.4, 0, 1]]
    crystal.set_cell(sheared, scale_atoms=True)
    crystal.set_cell([[1, 0, 0], [2, 1, 0], [-1, 3, 1]] @ crystal.cell.array)
    turned, rotation = reduced(crystal)
    base, found = silica.evaluate(crystal), silica.evaluate(turned)
    assert found.energy == pytest.approx(base.energy, abs=1e-5)
    assert np.allclose(found.forces @ rotation, base.forces, atol=1e-5)
    system(silica, turned)


def test_a_region_is_as_if_there_were_nothing_else(silica):
    atoms = Atoms("OSiOO", [[0, 0, 0], [1.6, 0, 0], [2.4, 1.3, 0], [9.0, 0, 0]])
    made = openmm.System()
    for mass in atoms.get_masses():
        made.addParticle(mass)
    region = [1, 2]
    made.addForce(force(silica, atoms.numbers[region], periodic=False, particles=region))
    state = context_of(made, atoms.positions).getState(getForces=True)
    forces = state.getForces(asNumpy=True)._value * KJ / 10
    expected = np.zeros((4, 3))
    expected[region] = silica.evaluate(atoms[region]).forces
    assert np.allclose(forces, expected, atol=1e-6)


def test_a_system_survives_its_xml(silica_native, quartz):
    made = system(silica_native, quartz, threads=1)
    again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(made))
    energies = [energy_of(context_of(one, quartz.positions)) for one in (made, again)]
    assert energies[0] == energies[1]


def topology_of(atoms):
    made = app.Topology()
    residue = made.addResidue("all", made.addChain())
    for symbol in atoms.get_chemical_symbols():
        made.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if atoms.pbc.all():
        made.setPeriodicBoxVectors(unit.Quantity(atoms.cell.array / 10, unit.nanometer))
    return made


@pytest.fixture
def registered():
    """The entry point, as an installation registers it."""
    root = Path(__file__).resolve().parents[3]
    groups = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = groups["openmmml.potentials"]["m3compress"].partition(":")
    factory = getattr(import_module(module), name)
    if "m3compress" not in {point.name for point in entry_points(group="openmmml.potentials")}:
        openmmml.MLPotential.registerImplFactory("m3compress", factory())
    return factory


def test_the_potential_of_openmm_ml(registered, silica_native, silica, quartz):
    potential = openmmml.MLPotential("m3compress", model=str(silica_native), threads=1)
    made = potential.createSystem(topology_of(quartz))
    found = energy_of(context_of(made, quartz.positions))
    assert found == pytest.approx(silica.evaluate(quartz).energy, abs=1e-6)


def test_a_mixed_system(registered, silica_native, silica):
    atoms = Atoms("OSiOO", [[0, 0, 0], [1.6, 0, 0], [2.4, 1.3, 0], [9.0, 0, 0]])
    classical = openmm.System()
    for mass in atoms.get_masses():
        classical.addParticle(mass)
    potential = openmmml.MLPotential("m3compress", model=str(silica_native), threads=1)
    made = potential.createMixedSystem(topology_of(atoms), classical, [0, 1, 2])
    found = energy_of(context_of(made, atoms.positions))
    assert found == pytest.approx(silica.evaluate(atoms[:3]).energy, abs=1e-6)


def test_the_potential_needs_a_model_that_knows_the_elements(registered, silica_native):
    with pytest.raises(M3CompressError, match="names no model"):
        registered().createImpl("m3compress")
    potential = openmm_ml.Potential(str(silica_native), {"threads": 1})
    with pytest.raises(StructureError, match="does not know H"):
        potential.addForces(topology_of(molecule("H2O")), openmm.System(), None, 0)
