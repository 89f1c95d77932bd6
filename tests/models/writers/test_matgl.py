"""What is written in matgl's format is read as the same model."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import randomize

from m3compress.contract.forms import FACTORIZED, REMOVED, ThreeBodyForm
from m3compress.distill.students import Student
from m3compress.errors import M3CompressError, UnsupportedModelError
from m3compress.models.config import CONVENTIONS
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance, evaluate
from m3compress.models.readers.matgl import FILES, read_matgl
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.writers.matgl import save_matgl

BUILTIN = Path(str(files("m3compress.models.builtin")))


@pytest.fixture(scope="module")
def builtin():
    return read_matgl(BUILTIN).with_form(FACTORIZED)


@pytest.fixture
def rattled_quartz():
    atoms = build_crystal("SiO2-quartz").repeat((2, 2, 1))
    atoms.rattle(0.1, seed=7)
    return atoms


def test_saving_what_was_read_gives_the_same_model(builtin, rattled_quartz, tmp_path: Path):
    save_matgl(builtin, tmp_path)
    again = read_matgl(tmp_path).with_form(FACTORIZED)
    first, second = evaluate(builtin, rattled_quartz), evaluate(again, rattled_quartz)
    assert second.energy == first.energy
    np.testing.assert_array_equal(second.forces, first.forces)


def test_real_matgl_reads_what_was_written(matgl_model: Path, tmp_path: Path):
    matgl = pytest.importorskip("matgl")
    read = read_matgl(matgl_model)
    save_matgl(read.with_convention(CONVENTIONS["matgl-4.1"], {}), tmp_path)
    folders = (tmp_path, matgl_model)
    mine, theirs = (matgl.load_model(str(folder)).state_dict() for folder in folders)
    assert set(mine) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(mine[name].numpy(), value.numpy())


@pytest.mark.parametrize("form", [FACTORIZED, REMOVED], ids=str)
def test_real_matgl_says_of_a_student_what_it_says_itself(form, rattled_quartz, tmp_path: Path):
    matgl = pytest.importorskip("matgl")
    from matgl.ext.ase import PESCalculator

    sizes = {"width": 8, "hidden": (8, 8), "readout_hidden": (8, 8, 8), "max_n": 2, "max_l": 2}
    config = Student(**sizes, blocks=1).config(("O", "Si"), 5.0)
    network = M3GNet(config).to(torch.float32)
    randomize(network, 5)
    network.scales.fill_(1.7)
    student = Potential(
        network=network,
        form=form,
        element_energies=np.array([-1.5, -2.5]),
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )
    save_matgl(student, tmp_path)
    expected = evaluate(student, rattled_quartz)
    rattled_quartz.calc = PESCalculator(matgl.load_model(str(tmp_path)), stress_unit="eV/A3")
    size = np.abs(expected.forces).max()
    assert size > 0.1
    assert rattled_quartz.get_potential_energy() == pytest.approx(expected.energy, rel=1e-5)
    np.testing.assert_allclose(rattled_quartz.get_forces(), expected.forces, atol=1e-4 * size)
    stress = expected.stress(rattled_quartz)
    atol = 1e-4 * np.abs(stress).max()
    np.testing.assert_allclose(rattled_quartz.get_stress(), stress, atol=atol)


def test_pruned_triplets_have_no_words_in_matgl(builtin, tmp_path: Path):
    with pytest.raises(UnsupportedModelError, match="no three-body block that is pruned"):
        save_matgl(builtin.with_form(ThreeBodyForm(name="pruned", fraction=0.5)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_of_one_layer_has_no_words_in_matgl(builtin, tmp_path: Path):
    config = replace(builtin.config, hidden=())
    with pytest.raises(UnsupportedModelError, match=r"hidden=\(\)"):
        save_matgl(replace(builtin, network=M3GNet(config)), tmp_path)


def test_only_the_three_files_are_left(builtin, tmp_path: Path):
    save_matgl(builtin, tmp_path / "new")
    save_matgl(builtin, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(FILES)


def test_a_folder_that_cannot_be_written_is_named(builtin, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(M3CompressError, match="cannot"):
        save_matgl(builtin, tmp_path / "file")
