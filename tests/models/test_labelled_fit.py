"""Labelled frames decide where one reading fits them clearly better, and only there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from m3compress.errors import ConventionError, StructureError
from m3compress.models.config import CONVENTIONS
from m3compress.models.labelled_fit import Fit, not_ruled_out, weigh_labels
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.open import read_model

NAMES = ("matgl-dgl", "matgl-3", "matgl-4.1")
N_FRAMES = 8


def fit(
    name: str, mae: float, *, worst: float = 1.0, energy: float | None = None, sign: int = 1
) -> Fit:
    """A reading that misses every component by as much, and the first frame by more."""
    missed = [np.full((2, 3), sign * mae) for _ in range(N_FRAMES)]
    missed[0] *= worst
    return Fit(name, tuple(missed), energy)


def test_a_clear_margin_decides() -> None:
    old, three, four = fit("matgl-dgl", 0.0271), fit("matgl-3", 0.0047), fit("matgl-4.1", 0.0047)
    chosen, told = weigh_labels((old, three, four))
    assert chosen == "matgl-4.1", "matgl-3 is the same where the block is off"
    assert "0.0047" in told
    assert "0.0271" in told
    chosen, _ = weigh_labels((fit("matgl-dgl", 0.002), three, four))
    assert chosen == "matgl-dgl", "always the newer one is wrong"
    assert not_ruled_out((old, three, four)) == ("matgl-3", "matgl-4.1")


@pytest.mark.parametrize(
    ("best", "rival", "why"),
    [
        (fit("matgl-dgl", 0.01), fit("matgl-4.1", 0.01, sign=-1), "clearly better"),
        (fit("matgl-dgl", 0.01), fit("matgl-4.1", 0.009, worst=90), "clearly better"),
        (fit("matgl-dgl", 0.01, energy=0.02), fit("matgl-4.1", 0.03, energy=0.01), "different"),
    ],
    ids=["by too little", "by one frame", "against the energies"],
)
def test_what_decides_nothing(best: Fit, rival: Fit, why: str) -> None:
    chosen, told = weigh_labels((best, rival))
    assert chosen is None
    assert why in told


@pytest.mark.parametrize(("n_frames", "chosen"), [(20, "matgl-3"), (5, None), (2, None)])
def test_readings_nearer_to_each_other_than_to_the_labels(
    n_frames: int, chosen: str | None
) -> None:
    """What a trained reading misses lies in no direction, and never half-way to another reading."""
    rng = np.random.default_rng(0)
    missed = [rng.normal(0, 0.1, (20, 3)) for _ in range(n_frames)]
    apart = [rng.normal(0, 0.05, (20, 3)) for _ in range(n_frames)]
    right = Fit("matgl-3", tuple(missed))
    wrong = Fit("matgl-4.1", tuple(m + d for m, d in zip(missed, apart, strict=True)))
    assert wrong.force_mae < 1.2 * right.force_mae
    assert weigh_labels((right, wrong))[0] == chosen


@pytest.fixture(scope="module")
def resaved(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the DGL era in a file that matgl 4 wrote."""
    folder = tmp_path_factory.mktemp("resaved") / "model"
    shutil.copytree(shared / "models" / "M3GNet-r2SCAN-NaBH", folder)
    arguments = torch.load(folder / "model.pt", weights_only=True)
    arguments |= {"calc_charge": False, "compile_model": False, "compile_mode": "x"}
    arguments["model"]["init_args"]["dropout"] = None
    torch.save(arguments, folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def write_labels(resaved: Path) -> Callable[..., Path]:
    """``write_labels(folder, convention)``: frames that the weights fit in one convention."""
    raw = read_matgl(resaved)

    def make(folder: Path, convention: str, force: float = 1.0, noise: float = 0.01) -> Path:
        labeller: Potential = raw.with_convention(CONVENTIONS[convention], {})
        rng = np.random.default_rng(0)
        frames: list[Atoms] = []
        for seed in range(N_FRAMES):
            atoms = bulk("NaH", "rocksalt", a=4.9)
            atoms.rattle(0.1, seed=seed)
            found = labeller.evaluate(atoms)
            noisy = found.forces * rng.normal(1, noise, found.forces.shape)
            atoms.calc = SinglePointCalculator(atoms, energy=found.energy, forces=force * noisy)
            frames.append(atoms)
        write(folder / "labels.extxyz", frames)
        return folder / "labels.extxyz"

    return make


def test_a_file_that_contradicts_the_crystals_is_refused_with_both_figures(resaved: Path) -> None:
    with pytest.raises(ConventionError, match="undecided: crystals say matgl-dgl") as caught:
        read_model(resaved)
    message, hint = caught.value.message, str(caught.value.hint)
    assert "written by matgl 4.0 or newer (it has compile_model and compile_mode)" in message
    assert all(f"{name}: residual force" in message for name in NAMES)
    assert "--labels FILE" in hint
    assert "--convention matgl-3 or matgl-4.1" in hint
    assert "--convention matgl-dgl" in hint
    assert read_model(resaved, convention="matgl-dgl").provenance.how == "given by the user"


@pytest.mark.parametrize("convention", ["matgl-dgl", "matgl-4.1"])
def test_labels_decide_either_way(
    convention: str, resaved: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    found = read_model(resaved, labels=write_labels(tmp_path, convention))
    evidence = found.provenance.evidence
    assert found.config.convention.name == convention
    assert evidence["decided_by"] == "labels"
    assert set(evidence["labels"]) == set(NAMES)
    assert evidence["labels"][convention]["n_frames"] == N_FRAMES
    assert evidence["labels"][convention]["energy_mae"] < 1e-4
    assert evidence["writer"]["versions"] == "matgl 4.0 or newer"
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert "8 labelled frames" in found.provenance.how


def test_what_labels_rule_out_is_not_chosen(
    shared: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """Crystals and file agree on the old convention; labels do not tell the newer ones apart."""
    labels = write_labels(tmp_path, "matgl-4.1", noise=0.1)
    with pytest.raises(ConventionError, match="but the labels rule it out") as caught:
        read_model(shared / "models" / "M3GNet-r2SCAN-NaBH", labels=labels)
    assert "--convention matgl-3 or matgl-4.1" in str(caught.value.hint)
    assert "matgl-4.1 misses forces by" in caught.value.message


def test_labels_in_other_units_decide_nothing(
    resaved: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(tmp_path, "matgl-dgl", force=1 / units.Hartree)
    with pytest.raises(StructureError, match="expected eV/Å"):
        read_model(resaved, labels=labels)


def test_labels_that_do_not_tell_leave_it_to_the_crystals(shared: Path, tmp_path: Path) -> None:
    relaxed = bulk("NaH", "rocksalt", a=4.9)
    relaxed.calc = SinglePointCalculator(relaxed, energy=-1.0, forces=np.zeros((2, 3)))
    write(tmp_path / "labels.extxyz", [relaxed] * 3)
    folder = shared / "models" / "M3GNet-r2SCAN-NaBH"
    found = read_model(folder, labels=tmp_path / "labels.extxyz")
    assert found.provenance.evidence["decided_by"] == "measurement"
    assert set(found.provenance.evidence["labels"]) == set(NAMES)
