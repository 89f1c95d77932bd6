"""Checkpoints of Lightning trainings: the same model as the folder that matgl would save."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.build import bulk

from m3compress.errors import CheckpointError, ConventionError
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers.arrays import load_torch
from m3compress.models.readers.lightning import read_lightning
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.open import read_model

Write = Callable[..., Path]


@pytest.fixture
def folder(matgl_folder: Path) -> Path:
    """A model of matgl whose weights lie in a checkpoint of a training instead: best.ckpt."""
    state = load_torch(matgl_folder / "state.pt")
    torch.save(_checkpoint(state), matgl_folder / "best.ckpt")
    return matgl_folder


def _checkpoint(state: dict[str, Any], **hyperparameters: Any) -> dict[str, Any]:
    """What Lightning 2.6 writes for matgl's ``PotentialLightningModule``."""
    return {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {
            "data_mean": torch.tensor(0.0),
            "data_std": torch.tensor(1.0),
            **{f"model.{name}": value for name, value in state.items()},
        },
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-3, "energy_weight": 1.0, **hyperparameters},
    }


def same(found: Potential, expected: Potential) -> bool:
    weights = expected.network.state_dict()
    return (
        found.config == expected.config
        and found.energy_offset == expected.energy_offset
        and np.array_equal(found.element_energies, expected.element_energies)
        and all(
            torch.equal(value, weights[name]) for name, value in found.network.state_dict().items()
        )
    )


def test_arguments_beside_the_checkpoint_are_used(folder: Path) -> None:
    expected = read_matgl(folder)
    (folder / "state.pt").unlink()
    found = read_lightning(folder / "best.ckpt")
    assert same(found, expected)
    assert found.provenance.format == "lightning"
    assert found.provenance.path == str(folder / "best.ckpt")


def test_arguments_in_the_checkpoint_are_used(folder: Path, tmp_path: Path) -> None:
    arguments = load_torch(folder / "model.pt")["model"]
    state = load_torch(folder / "state.pt")
    path = tmp_path / "alone.ckpt"
    torch.save(_checkpoint(state, model=arguments), path)
    assert same(read_lightning(path), read_matgl(folder))


@pytest.mark.parametrize("whole", [True, False], ids=["the checkpoint", "its state_dict"])
def test_a_checkpoint_may_take_the_place_of_the_weights(whole: bool, folder: Path) -> None:
    expected = read_matgl(folder)
    document = load_torch(folder / "best.ckpt")
    torch.save(document if whole else document["state_dict"], folder / "state.pt")
    assert same(read_matgl(folder), expected)


def test_the_convention_is_decided_as_for_the_folder(folder: Path) -> None:
    expected = read_model(folder)
    assert read_model(folder / "best.ckpt").config.convention == expected.config.convention
    given = read_model(folder / "best.ckpt", convention="matgl-3")
    assert given.config.convention.name == "matgl-3"


@pytest.mark.parametrize("place", ["best.ckpt", "state_dict in state.pt", "plain names"])
def test_arguments_of_a_newer_matgl_contradict_weights_of_the_dgl_era(
    place: str, folder: Path
) -> None:
    """Trained on, or only saved again? Wherever the weights are, the arguments ask that."""
    arguments = load_torch(folder / "model.pt")
    newer = {"calc_charge": False, "compile_model": False, "compile_mode": "reduce-overhead"}
    torch.save({**arguments, **newer}, folder / "model.pt")
    if place.startswith("state_dict"):
        torch.save(load_torch(folder / "best.ckpt")["state_dict"], folder / "state.pt")
    source = folder / place if place == "best.ckpt" else folder
    with pytest.raises(ConventionError, match=r"crystals say matgl-dgl .*it has compile_model"):
        read_model(source)


def test_a_checkpoint_without_arguments_says_how_to_save_them(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(folder / "best.ckpt", tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match="not the arguments") as caught:
        read_model(tmp_path / "best.ckpt")
    assert "module.model.save(DIR)" in str(caught.value.hint)


@pytest.mark.parametrize("content", [{}, [1.0], {"state_dict": 3}, {"state": {}}])
def test_other_files_are_no_checkpoints_of_a_training(content: Any, folder: Path) -> None:
    torch.save(content, folder / "best.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of a Lightning training"):
        read_model(folder / "best.ckpt")


def test_bytes_are_no_checkpoint(folder: Path) -> None:
    (folder / "best.ckpt").write_bytes(b"something")
    with pytest.raises(CheckpointError, match="not a readable PyTorch file"):
        read_model(folder / "best.ckpt")


def test_a_model_object_among_the_hyperparameters_is_not_unpickled(folder: Path) -> None:
    document = _checkpoint({}, model=torch.nn.Linear(2, 2))
    torch.save(document, folder / "best.ckpt")
    with pytest.raises(CheckpointError, match="not executed") as caught:
        read_model(folder / "best.ckpt")
    assert "module.model.save(DIR)" in str(caught.value.hint)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    document = load_torch(folder / "best.ckpt")
    name = "model.model.embedding.layer_node_embedding.weight"
    document["state_dict"][name] = document["state_dict"][name][:2]
    torch.save(document, folder / "best.ckpt")
    with pytest.raises(CheckpointError, match=r"best\.ckpt: embedding\.weight has shape"):
        read_model(folder / "best.ckpt")


def test_what_matgl_trains_and_lightning_saves_is_read(matgl_model: Path, tmp_path: Path) -> None:
    lightning, matgl = pytest.importorskip("lightning"), pytest.importorskip("matgl")
    from matgl.utils.training import PotentialLightningModule

    base = matgl.load_model(str(matgl_model))
    module = PotentialLightningModule(
        model=base.model,
        element_refs=base.element_refs.property_offset,
        data_mean=float(base.data_mean),
        data_std=float(base.data_std),
    )
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=0
    )
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    for name in ("model.pt", "model.json"):
        shutil.copyfile(matgl_model / name, tmp_path / name)
    atoms = bulk("Si")
    atoms.rattle(0.1, seed=0)
    found, expected = (
        evaluate(read_model(path, convention="matgl-4.1"), atoms)
        for path in (tmp_path / "best.ckpt", matgl_model)
    )
    assert found.energy == pytest.approx(expected.energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-6)
