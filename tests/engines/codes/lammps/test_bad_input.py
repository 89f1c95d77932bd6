"""Whatever is wrong: one clear line, an exit code, all ranks down, nothing hangs."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from md_codes import require

require("lammps")

from m3compress.contract.backends import manifest_path  # noqa: E402
from m3compress.engines.codes.lammps import start  # noqa: E402
from m3compress.errors import M3CompressError  # noqa: E402

BOX = """
clear
{before}
units {units}
atom_style {style}
region box block 0 12 0 6 0 6
create_box 2 box {extra}
mass * 20.0
create_atoms 1 single 1 1 1
create_atoms 2 single 2.6 1 1
create_atoms 1 single 8 1 1
create_atoms 2 single 9.6 1 1
"""
#: What is wrong: (the pair style, its coefficients, what follows), and what is said.
WRONG = {
    "a word": (("comm fast", "{good}", ""), "knows no fast"),
    "types without an element": (("", "{model} Si", ""), "names 1 elements for 2 atom types"),
    "elements without a type": (("", "{model} Si O O", ""), "names 3 elements for 2 atom types"),
    "unknown element": (("", "{model} Si Na", ""), "does not know Na, the element of atom type 2"),
    "no file": (("", "nothing.m3c.safetensors Si O", ""), "no file nothing.m3c.safetensors"),
    "another file": (("", "in.lammps Si O", ""), "is no native file"),
    "damaged": (
        ("", "{damaged} Si O", ""),
        "is damaged or not the file of .*: sha256",
    ),
    "foreign manifest": (("", "{foreign} Si O", ""), "is damaged or not the file of"),
    "newton off": (("", "{good}", "run 0"), "newton is off for pairs, expected newton on"),
    "respa": (("", "{good}", "run_style respa 2 2 pair 1\nrun 0"), "respa|integrate_style"),
    "hidden neighbors": (("", "{good}", "neigh_modify exclude type 1 1\nrun 0"), "hides neighbors"),
    "few ghosts": (("wide", "{good}", "comm_modify cutoff 6\nrun 0"), "wide needs"),
    "overlap": (
        ("", "{good}", "create_atoms 2 single 1 1 1.0005\nrun 0"),
        "atoms [15] and [15] are 0.0005.* A apart",
    ),
}


@pytest.fixture(scope="module")
def inside(plugin):
    lmp = start()
    lmp.command(f"plugin load {plugin}")
    return lmp


@pytest.fixture(scope="module")
def models(silica_native, tmp_path_factory):
    """The model, one with a byte changed, and one with a manifest that is not its own."""
    folder = tmp_path_factory.mktemp("models")
    found = {"model": silica_native, "good": f"{silica_native} Si O"}
    for name in ("damaged", "foreign"):
        path = folder / f"{name}.m3c.safetensors"
        shutil.copy(silica_native, path)
        shutil.copy(manifest_path(silica_native), manifest_path(path))
        found[name] = path
    content = bytearray(found["damaged"].read_bytes())
    content[-1] ^= 1
    found["damaged"].write_bytes(content)
    beside = manifest_path(found["foreign"])
    document = json.loads(beside.read_text())
    document["artefact_sha256"] = "0" * 64
    beside.write_text(json.dumps(document))
    return found


def script(wrong, models, units="metal", style="atomic", extra=""):
    before = "newton off" if wrong is WRONG["newton off"][0] else ""
    pair, coefficients, after = (part.format(**models) for part in wrong)
    box = BOX.format(units=units, style=style, extra=extra, before=before)
    return f"{box}\npair_style m3compress {pair}\npair_coeff * * {coefficients}\n{after}\n"


@pytest.mark.parametrize("name", WRONG)
def test_what_is_said(inside, models, name):
    wrong, message = WRONG[name]
    with pytest.raises(Exception, match=message) as caught:
        inside.commands_string(script(wrong, models))
    if name != "respa":  # LAMMPS itself may know
        assert "m3compress: " in str(caught.value)


def test_units_and_bonds(inside, models):
    good = ("", "{good}", "run 0")
    for units in ("lj", "real", "si"):
        with pytest.raises(Exception, match=f"m3compress: units are {units}, expected metal"):
            inside.commands_string(script(good, models, units))
    bonds = "bond_style zero\nbond_coeff *\ncreate_bonds single/bond 1 1 2\nrun 0"
    wrong = ("", "{good}", bonds)
    extra = "bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 4"
    with pytest.raises(Exception, match="special_bonds lj/coul 1 1 1"):
        inside.commands_string(script(wrong, models, style="bond", extra=extra))
    right = ("", "{good}", f"special_bonds lj/coul 1 1 1\n{bonds}")
    inside.commands_string(script(right, models, style="bond", extra=extra))


def test_comm_gets_the_ghosts_that_it_needs_whatever_is_asked(inside, models):
    energies = []
    for asked in ("", "comm_modify cutoff 1.0\n"):  # LAMMPS takes the larger one of two
        inside.commands_string(script(("comm", "{good}", f"{asked}run 0"), models))
        energies.append(inside.get_thermo("pe"))
    assert energies[0] == energies[1]


def test_what_is_lost_while_it_moves(inside, models, silica):
    inside.commands_string(script(("", "{good}", "fix n all nve\nrun 1"), models))
    inside.numpy.extract_atom("v")[2, 1] = np.nan
    with pytest.raises(Exception, match="m3compress: the position of atom 3 is not finite"):
        inside.command("run 5 pre no post no")


@pytest.mark.parametrize(
    "name", ["unknown element", "damaged", "newton off", "overlap", "few ghosts", "lost", "NaN"]
)
def test_all_ranks_end(lmp, models, name):
    after = {
        "lost": "thermo 1\nvelocity all set 1e4 0 0\nchange_box all boundary f p p\nrun 200",
        # Before LAMMPS looks where atoms are: what a single rank says may get lost on its way.
        "NaN": "neigh_modify every 99 delay 99 check no\n"
        "group g id 3\nvelocity g set 1e308 0 0\ntimestep 1e10\nrun 5",
    }
    messages = {"lost": "ERROR: Lost atoms", "NaN": "m3compress: the position of atom 3"}
    wrong, message = WRONG.get(
        name, (("", "{good}", "fix n all nve\n" + after.get(name, "")), messages.get(name, ""))
    )
    with pytest.raises(M3CompressError, match=message) as caught:
        lmp(script(wrong, models).replace("\nclear", ""), 2)
    assert "did not end" not in str(caught.value)
    assert re.search(r"code [1-9-]", str(caught.value))
