"""A short training learns, repeats itself, and goes on after it was killed."""

from __future__ import annotations

import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.losses import HuberLoss, Term
from m3compress.distill.training import loop
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.loop import Settings, mean_errors, train
from m3compress.distill.training.run import begin
from m3compress.distill.training.schedule import Schedule
from m3compress.distill.training.step import eager_step

SETTINGS = Settings(
    schedule=Schedule(steps=8, learning_rate=5e-3),
    loss=HuberLoss(terms=(Term("energy", 2.0, 0.1), Term("forces", 1.0, 0.2)), form=FACTORIZED),
    batch_size=2,
    decay=0.9,
    seed=5,
)


pytestmark = pytest.mark.usefixtures("one_thread")


class KilledError(Exception):
    pass


@pytest.fixture
def start(config, batches, references):
    def make(optimizer="adam"):
        network = initial_network(config, batches, seed=SETTINGS.seed)
        run = begin(
            network, references, decay=SETTINGS.decay, learning_rate=1e-3, optimizer=optimizer
        )
        return run, eager_step(network, SETTINGS.loss)

    return make


def weights(run):
    states = (run.network.state_dict(), run.average.state_dict())
    adam = run.optimizer.state_dict()["state"]
    return [tensor.clone() for state in (*states, *adam.values()) for tensor in state.values()]


def tensors(run):
    """All tensors of a run, those in lists of the optimiser's state, too."""

    def inside(value):
        if isinstance(value, torch.Tensor):
            return [value]
        if isinstance(value, dict):
            value = list(value.values())
        return [t for part in value for t in inside(part)] if isinstance(value, list) else []

    return inside([run.network.state_dict(), run.average.state_dict(), run.optimizer.state_dict()])


def test_a_killed_training_goes_on_to_the_last_bit(start, batches, tmp_path):
    whole, step = start()
    train(whole, step, batches[:4], batches[4:], SETTINGS, checkpoint=tmp_path / "whole.pt")

    killed, step = start()
    path = tmp_path / "killed.pt"

    def kill(run):
        if run.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(killed, step, batches[:4], batches[4:], SETTINGS, checkpoint=path, after_epoch=kill)

    resumed, step = start()
    resumed.load(path)
    assert resumed.epoch == 2
    train(resumed, step, batches[:4], batches[4:], SETTINGS, checkpoint=path)
    assert resumed.history == whole.history
    assert len(whole.history) == 4
    for mine, theirs in zip(weights(resumed), weights(whole), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("optimizer", ["soap", "adam"])
def test_a_training_killed_within_an_epoch_goes_on_to_the_last_bit(
    start, batches, tmp_path, monkeypatch, optimizer
):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", -1.0)
    whole, step = start(optimizer)
    train(whole, step, batches[:4], batches[4:], SETTINGS, checkpoint=tmp_path / "whole.pt")

    killed, step = start(optimizer)
    path = tmp_path / "killed.pt"

    def dying(batch):
        if killed.steps == 5:
            raise KilledError
        return step(batch)

    with pytest.raises(KilledError):
        train(killed, dying, batches[:4], batches[4:], SETTINGS, checkpoint=path)
    resumed, step = start(optimizer)
    resumed.load(path)
    assert (resumed.steps, resumed.epoch, resumed.in_epoch) == (5, 2, 1)
    train(resumed, step, batches[:4], batches[4:], SETTINGS, checkpoint=path)
    assert resumed.history == whole.history
    for mine, theirs in zip(tensors(resumed), tensors(whole), strict=True):
        assert torch.equal(mine, theirs)


def test_a_stage_ends_its_epoch(start, batches, tmp_path):
    run, step = start()
    path = tmp_path / "checkpoint.pt"
    train(run, step, batches[:4], batches[4:], SETTINGS, checkpoint=path, until=3)
    assert (run.steps, run.epoch, run.in_epoch) == (3, 2, 0)
    train(run, step, batches[:4], batches[4:], SETTINGS, checkpoint=path, until=3)
    assert run.steps == 3
    train(run, step, batches, batches[4:], SETTINGS, checkpoint=path)
    assert run.steps == 8


def test_a_training_that_is_done_stays_as_it_is(start, batches, tmp_path):
    run, step = start()
    run.steps = 8
    before = weights(run)
    train(run, step, batches, batches, SETTINGS, checkpoint=tmp_path / "checkpoint.pt")
    assert all(torch.equal(a, b) for a, b in zip(weights(run), before, strict=True))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_training_learns(start, batches, tmp_path):
    longer = Settings(
        schedule=Schedule(steps=90, learning_rate=3e-2), loss=SETTINGS.loss, batch_size=2, seed=5
    )
    run, step = start()
    first = mean_errors(run.network, batches, FACTORIZED)
    train(run, step, batches, batches, longer, checkpoint=tmp_path / "checkpoint.pt")
    last = mean_errors(run.averaged, batches, FACTORIZED)
    assert last["force_mae"] < 0.7 * first["force_mae"]
    assert run.history[-1]["loss"] < 0.7 * run.history[0]["loss"]


def test_errors_are_those_of_the_labels(batches):
    def flat(graph, species, form):
        return 0.0 * graph.vectors.sum() + torch.zeros(len(species))

    found = mean_errors(flat, batches, FACTORIZED)
    forces = torch.cat([batch.forces for batch in batches])
    energies = torch.cat([batch.energies / batch.sizes for batch in batches])
    assert found["force_percent"] == pytest.approx(100)
    assert found["force_mae"] == pytest.approx(1000 * forces.abs().mean().item())
    assert found["energy_mae"] == pytest.approx(1000 * energies.abs().mean().item())
