"""What simulations do to a pair style: moving boxes, coming and going atoms, restarts."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_inputs import header, table
from md_codes import require

require("lammps")

from m3compress.engines.codes.boxes import turned  # noqa: E402
from m3compress.models.structures.crystals import build_crystal  # noqa: E402

MOVES = """
velocity all create 1200 4928
compute e all pe/atom
compute k all ke/atom
compute c all centroid/stress/atom NULL virial
compute j all heat/flux k e c
fix j all ave/correlate 1 5 5 c_j[1] c_j[2] c_j[3] type auto file flux.txt
fix 1 all npt temp 1200 1200 0.05 tri 0 0 0.5
neigh_modify delay 0 every 1
run 10
unfix 1
minimize 0 1e-2 5 20
fix 2 all box/relax iso 0
minimize 0 1e-2 3 10
unfix 2
fix 3 all nve
region lower block INF INF INF INF INF 3
group gone region lower
delete_atoms group gone
run 5
create_atoms 1 random 2 4928 NULL overlap 1.5 maxtry 500
region everywhere block 1 4 1 4 1 8
fix 4 all deposit 2 2 1 4928 region everywhere near 1.6
balance 1.0 shift xz 5 1.1
run 5
unfix 4
thermo_style custom pe pxx
run 0
variable pe equal pe
print '$(v_pe:%.12g)' file before.txt
write_restart now.restart
write_data now.data
"""
AGAIN = """
clear
read_restart now.restart
pair_style m3compress
pair_coeff * * "{model}" {symbols}
run 0
print '$(pe:%.12g)' file after.txt
pair_style hybrid/overlay m3compress zero 4.0
pair_coeff * * m3compress "{model}" {symbols}
pair_coeff * * zero
run 0
print '$(pe:%.12g)' file overlay.txt
pair_style m3compress wide
pair_coeff * * "{model}" {symbols}
run 0
neighbor 2.5 bin
run 0
print '$(pe:%.12g)' file wide.txt
"""


@pytest.fixture(scope="module")
def block():
    atoms = build_crystal("SiO2-quartz").repeat((2, 2, 2))
    atoms.rattle(0.05, seed=1)
    return atoms


def test_everything_at_once(lmp, silica_native, block):
    symbols = " ".join(dict.fromkeys(block.symbols))
    script = header(block, "block", model=silica_native) + MOVES
    script += AGAIN.format(model=silica_native, symbols=symbols)
    folder = lmp(script, 2, {"block": block})
    before = float((folder / "before.txt").read_text())
    assert np.isfinite(before)
    for name in ("after", "overlay", "wide"):
        assert float((folder / f"{name}.txt").read_text()) == pytest.approx(before, abs=1e-4), name
    rows = [line.split() for line in (folder / "flux.txt").read_text().splitlines()[3:]]
    correlated = np.array([row[3:] for row in rows if len(row) > 2], dtype=float)
    assert np.isfinite(correlated).all()
    assert np.abs(correlated).max() > 0


def test_energy_is_kept_while_atoms_migrate(lmp, silica_native):
    atoms = build_crystal("SiO2-quartz").repeat((2, 1, 1))
    script = header(atoms, "atoms", model=silica_native)
    script += """
velocity all create 2400 4928
velocity all set 120 60 30 sum yes
fix 1 all nve
timestep 0.0005
run 0
variable first equal $(etotal)
run 100
print '$(etotal - v_first) $(xcm(all,x) - lx)' file drift.txt
"""
    folder = lmp(script, 2, {"atoms": atoms})
    drift, _ = np.loadtxt(folder / "drift.txt")
    assert abs(drift) / len(atoms) < 1e-3


def test_atoms_in_a_slab_of_ranks_without_any(lmp, silica_native, silica, block):
    slab = block.copy()
    slab.center(vacuum=30.0, axis=2)
    script = header(slab, "slab", model=silica_native).replace(
        "units metal", "units metal\nprocessors 1 1 4"
    )
    folder = lmp(
        script + "dump d all custom 1 f.txt id fx fy fz\ndump_modify d sort id\nrun 0",
        4,
        {"slab": slab},
    )
    expected = silica.evaluate(turned(slab)[0]).forces
    assert np.abs(table(folder / "f.txt") - expected).max() < 5e-5
