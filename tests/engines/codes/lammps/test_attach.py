"""A model in LAMMPS's Python module: the contract, what is refused, what ends a run."""

from __future__ import annotations

import numpy as np
import pytest
from md_codes import require

require("lammps")

from m3compress.engines.codes.lammps import attach, start  # noqa: E402
from m3compress.engines.conformance.codes.lammps import LammpsCode  # noqa: E402
from m3compress.engines.conformance.contract import examine  # noqa: E402
from m3compress.errors import ArtefactError, M3CompressError, StructureError  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

BOX = """units {units}
region box block 0 6 0 6 0 6
create_box 2 box
mass * 20.0
create_atoms 1 single 1 1 1
create_atoms 2 single 2.6 1 1
fix nve all nve
"""


@pytest.fixture(scope="module")
def lmp():
    """One LAMMPS for all; every test begins with a box."""
    return start()


def boxed(lmp, units="metal"):
    lmp.command("clear")
    lmp.commands_string(BOX.format(units=units))
    return lmp


def test_it_keeps_the_contract(silica):
    code = LammpsCode(lambda lmp, symbols: attach(lmp, silica, symbols), "fix external")
    found = examine(code, silica, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    assert all(clause.holds for clause in found.clauses)


def test_a_file_by_its_path(lmp, silica_native, silica):
    attach(boxed(lmp), silica_native, ["Si", "O"], threads=1)
    lmp.command("run 0")
    atoms = build_crystal("SiO2-quartz")[[0, 3]]
    atoms.set_cell([6, 6, 6])
    atoms.positions = [[1, 1, 1], [2.6, 1, 1]]
    assert lmp.get_thermo("pe") == pytest.approx(silica.evaluate(atoms).energy, abs=1e-5)


def test_what_is_not_possible_is_refused(lmp, silica, tmp_path):
    with pytest.raises(M3CompressError, match="units lj, expected metal"):
        attach(boxed(lmp, "lj"), silica, ["Si", "O"])
    for elements in (["Si"], ["Si", "O", "O"], ["Si", "Quartz"]):
        with pytest.raises(M3CompressError, match="for 2 atom types"):
            attach(boxed(lmp), silica, elements)
    with pytest.raises(StructureError, match="does not know Na"):
        attach(boxed(lmp), silica, ["Na", "O"])
    with pytest.raises(ArtefactError, match="there is no file"):
        attach(boxed(lmp), tmp_path / "nothing.m3c.onnx", ["Si", "O"])
    lmp.command("clear")
    lmp.command("units metal")
    with pytest.raises(M3CompressError, match="no box yet"):
        attach(lmp, silica, [])


def test_an_error_ends_the_run_and_the_next_one_runs(lmp, silica):
    attach(boxed(lmp), silica, ["Si", "O"])
    lmp.command("run 2")
    lmp.numpy.extract_atom("x")[1] = np.nan
    before = lmp.extract_global("ntimestep")
    with pytest.raises(StructureError, match=r"the position of atom 1 .* is not finite"):
        lmp.command("run 100 pre no post no")
    assert lmp.extract_global("ntimestep") == before + 1
    lmp.numpy.extract_atom("x")[1] = [2.6, 1.0, 1.0]
    lmp.numpy.extract_atom("v")[:] = 0.0
    lmp.command("run 3")
    assert lmp.extract_global("ntimestep") == before + 4


def test_it_ends_for_whatever_reason(lmp, silica, monkeypatch):
    def interrupted(atoms):
        raise KeyboardInterrupt

    attached = attach(boxed(lmp), silica, ["Si", "O"], fix="other")
    monkeypatch.setattr(silica, "evaluate", interrupted)
    for run in (lambda: lmp.cmd.run(5), lambda: lmp.commands_string("run 5")):
        with pytest.raises(KeyboardInterrupt):
            run()
    assert attached.error is None
