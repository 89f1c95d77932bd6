"""The built-in model's training from frames to weights, on a few frames."""

from __future__ import annotations

import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.plan import Group
from m3compress.distill.recipes.builtin.recipe import CONFIG
from m3compress.distill.recipes.builtin.train import CHECKPOINT, make_frames, train_builtin
from m3compress.models.readers.matgl import FILES, read_matgl
from m3compress.models.readers.tensorflow import read_tensorflow

GROUPS = [
    Group(kind="distorted", parent="quartz", split="train", n_frames=2),
    Group(kind="trajectory", parent="si-diamond", split="train", temperature=300, n_frames=2),
    Group(kind="pairs", parent="SiO", split="train", n_frames=14),
    Group(kind="distorted", parent="stishovite", split="validation", n_frames=1),
]


@pytest.mark.slow
def test_a_few_frames_are_made_trained_on_and_resumed(shared, tmp_path, one_thread):
    checkpoint = shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow"
    reference = read_tensorflow(checkpoint).with_form(FACTORIZED).to(torch.float32)
    make_frames(reference, tmp_path, GROUPS)
    train_builtin(tmp_path, GROUPS, epochs=2, resume=False, compiled=False)
    model = read_matgl(tmp_path / "model")
    assert model.config == CONFIG
    first = {name: (tmp_path / "model" / name).read_bytes() for name in FILES}

    # Killed after its last checkpoint, before its model was written: resuming writes it.
    (tmp_path / "model" / "state.pt").unlink()
    train_builtin(tmp_path, GROUPS, epochs=2, resume=True, compiled=False)
    assert {name: (tmp_path / "model" / name).read_bytes() for name in FILES} == first
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["epoch"] == 2
