"""Checkpoints: whole or absent, and only of the same training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.run import begin
from m3compress.errors import M3CompressError
from m3compress.models.potential import evaluate


@pytest.fixture
def new_run(config, batches, references):
    def make(seed=1, references=references):
        network = initial_network(config, batches, seed=seed)
        return begin(network, references, decay=0.9, learning_rate=1e-3)

    return make


def test_a_checkpoint_that_could_not_be_written_leaves_the_last_one(new_run, tmp_path, monkeypatch):
    run, path = new_run(), tmp_path / "checkpoint.pt"
    run.epoch = 1
    run.save(path)

    def fail(self, content):
        with self.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    monkeypatch.setattr("os.fsync", lambda *_: fail(tmp_path / "any", b""))
    run.epoch = 2
    with pytest.raises((M3CompressError, OSError), match="space"):
        run.save(path)
    monkeypatch.undo()
    again = new_run(seed=2)
    again.load(path)
    assert again.epoch == 1


def test_saving_leaves_nothing_but_the_checkpoint(new_run, tmp_path):
    run = new_run()
    run.save(tmp_path / "checkpoint.pt")
    run.save(tmp_path / "checkpoint.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_of_other_frames_is_refused(new_run, tmp_path, references):
    new_run().save(tmp_path / "checkpoint.pt")
    with pytest.raises(M3CompressError, match="other frames"):
        new_run(references=references + 0.1).load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_what_is_no_checkpoint_is_refused(new_run, tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(M3CompressError, match="not a checkpoint"):
        new_run().load(tmp_path / "checkpoint.pt")


def test_a_checkpoint_of_another_network_is_refused(new_run, tmp_path):
    path = tmp_path / "checkpoint.pt"
    new_run().save(path)
    document = torch.load(path, weights_only=True)
    document["network"] = {"weight": torch.zeros(2)}
    torch.save(document, path)
    with pytest.raises(M3CompressError, match="not a checkpoint of this network"):
        new_run().load(path)


def test_starting_from_another_run_takes_its_averaged_weights_alone(new_run, tmp_path):
    old = new_run()
    old.average.update_parameters(old.network)
    with torch.no_grad():
        for weight in old.network.parameters():
            weight += 1.0
    old.epoch = 7
    old.save(tmp_path / "checkpoint.pt")
    run = new_run(seed=2)
    run.start_from(tmp_path / "checkpoint.pt")
    assert run.epoch == 0
    assert run.average.n_averaged == 0
    for mine, theirs in zip(run.network.parameters(), old.averaged.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_potential_has_the_averaged_weights_and_the_references(new_run, frames, references):
    run = new_run()
    found = evaluate(run.potential(FACTORIZED), frames[0])
    base = sum(references[("O", "Si").index(symbol)] for symbol in frames[0].symbols)
    alone = run.potential(FACTORIZED)
    bare = evaluate(type(alone)(**{**_fields(alone), "element_energies": np.zeros(2)}), frames[0])
    assert found.energy - base == pytest.approx(bare.energy, abs=1e-6)
    with torch.no_grad():
        next(run.network.parameters()).add_(1.0)
    assert evaluate(run.potential(FACTORIZED), frames[0]).energy == found.energy


def _fields(potential):
    return {name: getattr(potential, name) for name in type(potential).__slots__}


def test_a_checkpoint_of_another_optimiser_is_refused(new_run, config, batches, tmp_path):
    new_run().save(tmp_path / "checkpoint.pt")
    network, references = initial_network(config, batches, seed=1), new_run().references
    soap = begin(network, references, decay=0.9, learning_rate=1e-3, optimizer="soap")
    with pytest.raises(M3CompressError, match="its optimiser is another one, without decays"):
        soap.load(tmp_path / "checkpoint.pt")
