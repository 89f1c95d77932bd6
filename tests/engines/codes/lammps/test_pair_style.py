"""The pair style says what ASE says, on any number of ranks, either way of treating ghosts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lammps_inputs import header, table
from md_codes import require

require("lammps")

from m3compress.engines.codes.boxes import turned  # noqa: E402
from m3compress.engines.conformance.cells import sample_cells  # noqa: E402
from m3compress.engines.conformance.codes.lammps import open_lammps  # noqa: E402
from m3compress.engines.conformance.contract import examine  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

BARS = 1.6021765e6  # of an eV/Å³, LAMMPS's
MEASURE = """
compute e all pe/atom
compute s all stress/atom NULL virial
compute c all centroid/stress/atom NULL virial
compute p all pressure NULL virial
compute te all reduce sum c_e
thermo_style custom step pe c_te c_p[*]
thermo_modify format float %.12g
dump d all custom 1 {name}.{way}.txt id fx fy fz c_e c_s[*] c_c[*]
dump_modify d sort id format float %.12g
run 0
variable found string '"pe": $(pe:%.12g), "atoms": $(c_te:%.12g), "volume": $(vol:%.12g)'
print '{{ ${{found}}, "pressure": [$(c_p[1]:%.12g), $(c_p[2]:%.12g), $(c_p[3]:%.12g), &
$(c_p[4]:%.12g), $(c_p[5]:%.12g), $(c_p[6]:%.12g)] }}' file {name}.{way}.json screen no
"""


@pytest.fixture(scope="module")
def structures(silica):
    """Triclinic, tiny, slabs, a molecule in a box, two elements; and one in which ranks differ."""
    quartz = build_crystal("SiO2-quartz")
    cells = sample_cells(quartz, silica.elements, silica.cutoff)
    found = {cell.name.replace(" ", "-").replace(",", ""): cell.atoms for cell in cells[:-1]}
    found["large"] = quartz.repeat((3, 3, 2))
    found["large"].rattle(0.1, seed=1)
    return found


def measured(lmp, structures, model, way, n_ranks):
    """What LAMMPS says of every structure: table of atoms, and sums."""
    script = "".join(
        header(atoms, name, way, model=model) + MEASURE.format(name=name, way=way)
        for name, atoms in structures.items()
    )
    folder = lmp(script, n_ranks, structures)
    return {
        name: (
            table(folder / f"{name}.{way}.txt"),
            json.loads((folder / f"{name}.{way}.json").read_text()),
        )
        for name in structures
    }


def test_it_says_what_ase_says_on_any_number_of_ranks(lmp, structures, silica, silica_native):
    alone = measured(lmp, structures, silica_native, "comm", 1)
    for name, atoms in structures.items():
        expected = silica.evaluate(turned(atoms)[0])
        rows, sums = alone[name]
        assert abs(sums["pe"] - expected.energy) < 1e-6 * len(atoms), name
        assert np.abs(rows[:, :3] - expected.forces).max() < 5e-5, name
        assert np.abs(rows[:, 3] - expected.energies).max() < 1e-5, name
        assert sums["atoms"] == pytest.approx(expected.energies.sum(), abs=1e-6 * len(atoms))
        virial = expected.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        pressure = -np.array(sums["pressure"]) / BARS
        if atoms.pbc.all():
            assert np.abs(pressure - virial / atoms.get_volume()).max() < 1e-3 / 160.2, name
        # stress times volume, of every atom; then the nine components of the centroids
        for part in (rows[:, 4:10], rows[:, 10:16]):
            assert np.allclose(part.sum(0) / BARS, pressure * sums["volume"], atol=2e-4), name
    for way, n_ranks in (("comm", 2), ("comm", 4), ("wide", 2)):
        for name, (rows, sums) in measured(lmp, structures, silica_native, way, n_ranks).items():
            assert np.abs(rows[:, :4] - alone[name][0][:, :4]).max() < 2e-5, (name, way, n_ranks)
            assert np.allclose(rows[:, 4:], alone[name][0][:, 4:], atol=2e-4 * BARS)
            assert np.allclose(sums["pressure"], alone[name][1]["pressure"], atol=10, rtol=1e-5)


def test_derivatives_of_the_energy(lmp, silica_native):
    quartz = build_crystal("SiO2-quartz")
    quartz.rattle(0.1, seed=3)
    script = (
        header(quartz, "quartz", "comm float64", model=silica_native)
        + """
fix n all numdiff 1 1e-4
fix v all numdiff/virial 1 1e-4
compute p all pressure NULL virial
thermo_style custom step pe f_v[*] c_p[*]
variable dx atom fx-f_n[1]
variable dy atom fy-f_n[2]
variable dz atom fz-f_n[3]
compute worst all reduce maxabs v_dx v_dy v_dz
thermo_style custom step pe c_worst[*] f_v[*] c_p[*]
run 0
print '$(c_worst[1]) $(c_worst[2]) $(c_worst[3])' file worst.txt
print '$(f_v[1]) $(f_v[2]) $(f_v[3]) $(f_v[6]) $(f_v[5]) $(f_v[4])' file virial.txt
print '$(c_p[1]) $(c_p[2]) $(c_p[3]) $(c_p[4]) $(c_p[5]) $(c_p[6])' file pressure.txt
"""
    )
    folder = lmp(script, 2, {"quartz": quartz})
    assert np.abs(np.loadtxt(folder / "worst.txt")).max() < 1e-5
    virial, pressure = (np.loadtxt(folder / f"{name}.txt") for name in ("virial", "pressure"))
    assert np.abs(pressure).max() > 1e4
    assert np.allclose(virial, pressure, rtol=1e-4, atol=20)


def test_it_keeps_the_contract(plugin, silica_native, silica):
    found = examine(open_lammps(silica_native, 1), silica, build_crystal("SiO2-quartz"))
    assert found.broken == ()
    assert all(clause.holds for clause in found.clauses)
    assert "sum of virials of atoms" in {clause.name for clause in found.clauses}
