"""i-PI with an exported file: the contract, beads in one evaluation, sockets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from md_codes import require

ipi = require("ipi")

from ipi.scripting import InteractiveSimulation, motion_nvt_xml, simulation_xml  # noqa: E402

from m3compress.engines.codes.ipi_driver import PATH, M3CompressDriver, ffdirect  # noqa: E402
from m3compress.engines.conformance.codes.ipi import open_ipi  # noqa: E402
from m3compress.engines.conformance.contract import examine  # noqa: E402
from m3compress.engines.runtimes.native import NativeEngine  # noqa: E402
from m3compress.errors import StructureError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

#: Of i-PI's own code, on the Pythons of this year.
pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning")
N_BEADS = 8
SCRIPTS = (Path(sys.executable).parent, Path(ipi.__file__).parents[1] / "bin")


@pytest.fixture
def quartz():
    atoms = build_crystal("SiO2-quartz")
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return atoms


@pytest.fixture
def template(quartz, tmp_path):
    path = tmp_path / "quartz.extxyz"
    ase.io.write(path, quartz)
    return path


def script(name):
    return next(str(folder / name) for folder in SCRIPTS if (folder / name).is_file())


def test_it_keeps_the_contract(silica_native, silica):
    found = examine(open_ipi(silica_native, 1), silica, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    open_clauses = {clause.name for clause in found.clauses if clause.holds is None}
    no_parts = {"virials of atoms", "energies of atoms", "sum of energies of atoms"}
    assert open_clauses == no_parts


def test_beads_are_one_evaluation(silica_native, quartz, template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes, inner = [], NativeEngine.run
    monkeypatch.setattr(
        NativeEngine,
        "run",
        lambda engine, inputs: (sizes.append(len(inputs.species)), inner(engine, inputs))[1],
    )
    field = ffdirect(silica_native, template, batch_size=N_BEADS, threads=1)
    text = simulation_xml(
        [quartz] * N_BEADS,
        field,
        motion_nvt_xml(timestep=0.05, path_integrals=True),
        temperature=0.0258,
        output=f"<output prefix='{tmp_path / 'run'}'></output>",
    )
    simulation = InteractiveSimulation(text)
    simulation.run(3, write_outputs=False)
    assert sizes == [N_BEADS * len(quartz)] * 4
    beads = simulation.get_structures()
    assert np.ptp([atoms.positions for atoms in beads], axis=0).max() > 1e-4


def test_several_structures_are_those_of_each(silica_native, template, silica, quartz):
    driver = M3CompressDriver(str(silica_native), str(template), threads=1)
    rng = np.random.default_rng(0)
    cell = quartz.cell.array.T / 0.529177
    places = [quartz.positions / 0.529177 + rng.normal(0, 0.05, (9, 3)) for _ in range(3)]
    together = driver([cell] * 3, places)
    for one, where in zip(together, places, strict=True):
        alone = driver(cell, where)
        for value, other in zip(one[:3], alone[:3], strict=True):
            assert np.allclose(value, other, atol=1e-6)
    assert together[0][0] * 27.2114 == pytest.approx(silica.evaluate(quartz).energy, abs=1.0)


def test_a_lost_atom_ends_the_run(silica_native, quartz, template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = simulation_xml(
        quartz,
        ffdirect(silica_native, template, threads=1),
        motion_nvt_xml(timestep=0.05),
        temperature=0.0258,
        output=f"<output prefix='{tmp_path / 'run'}'></output>",
    )
    simulation = InteractiveSimulation(text)
    lost = quartz.copy()
    lost.positions[3, 1] = np.nan
    simulation.set_structures(lost)
    with pytest.raises(StructureError, match=r"the position of atom 3 .* is not finite"):
        simulation.run(2, write_outputs=False)


def test_an_unknown_element_ends_the_driver(silica_native, quartz, tmp_path):
    quartz.symbols[0] = "Al"
    ase.io.write(tmp_path / "other.extxyz", quartz)
    driver = M3CompressDriver(str(silica_native), str(tmp_path / "other.extxyz"), threads=1)
    with pytest.raises(StructureError, match="does not know Al"):
        driver(quartz.cell.array.T, quartz.positions)


def test_by_a_socket(silica_native, silica, quartz, template, tmp_path):
    address = f"m3c-{tmp_path.name}"
    text = simulation_xml(
        quartz,
        f"<ffsocket name='m3c' mode='unix'><address>{address}</address></ffsocket>",
        "<motion mode='dynamics'><dynamics mode='nve'>"
        "<timestep units='femtosecond'>1</timestep></dynamics></motion>",
        output="<output prefix='run'><properties stride='1' filename='out'>"
        " [potential{electronvolt}] </properties></output>",
    )
    (tmp_path / "input.xml").write_text(
        text.replace("<output", "<total_steps>2</total_steps><output")
    )
    server = subprocess.Popen([sys.executable, script("i-pi"), "input.xml"], cwd=tmp_path)
    try:
        options = f"model={silica_native},template={template},threads=1"
        command = [script("i-pi-driver-py"), "-u", "-a", address, "-m", "custom", "-P", str(PATH)]
        for _ in range(60):
            driver = subprocess.run(
                [sys.executable, *command, "-o", options], cwd=tmp_path, timeout=60, check=False
            )
            if driver.returncode == 0 or server.poll() is not None:
                break
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
    energies = np.loadtxt(tmp_path / "run.out")
    assert energies.flat[0] == pytest.approx(silica.evaluate(quartz).energy, abs=1e-5)
