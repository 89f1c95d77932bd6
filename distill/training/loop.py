"""Epochs of training that can be killed at any time and go on as if nothing had happened."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase.units import GPa

from m3compress.contract.forms import ThreeBodyForm
from m3compress.distill.data.batches import Batch, NetworkFunction, join
from m3compress.distill.losses import HuberLoss
from m3compress.distill.training.run import Run
from m3compress.distill.training.schedule import Schedule, steps_of
from m3compress.distill.training.step import Step
from m3compress.units import MEV_PER_EV

logger = logging.getLogger(__name__)

#: Time between two checkpoints within an epoch in s: what a killed training loses at most.
_CHECKPOINT_EVERY = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        schedule: Length and learning rate.
        loss: What to make small.
        batch_size: Structures in a batch; a few have one or two more, and none has fewer.
        decay: Of the running average of the weights, per step.
        largest_gradient: Norm at which gradients are clipped.
        seed: Of the initial weights and of the order of the frames.
    """

    schedule: Schedule
    loss: HuberLoss
    batch_size: int = 4
    decay: float = 0.998
    largest_gradient: float = 5.0
    seed: int = 0


def train(
    run: Run,
    step: Step,
    batches: Sequence[Batch],
    held_back: Sequence[Batch],
    settings: Settings,
    *,
    checkpoint: Path,
    until: int | None = None,
    after_epoch: Callable[[Run], None] | None = None,
) -> None:
    """Train from where the run is.

    Args:
        run: Changed in place.
        step: Loss and gradients of a batch by the run's network.
        batches: Labelled frames to learn from, one each.
        held_back: Labelled frames to measure errors on after each epoch, one each.
        settings: How to train.
        checkpoint: Written after each epoch, and every 20 s.
        until: Steps at which to stop, which ends the epoch; the end of the schedule by default.
        after_epoch: Called once the checkpoint is written.

    Raises:
        M3CompressError: If the checkpoint cannot be written.
    """
    until = settings.schedule.steps if until is None else until
    while run.steps < until:
        n_batches = _finish_epoch(run, step, batches, settings, until, checkpoint)
        loss = run.total / n_batches
        found = mean_errors(run.averaged, held_back, settings.loss.form)
        run.history.append({"loss": loss, **found})
        run.begin_epoch()
        run.save(checkpoint)
        if after_epoch is not None:
            after_epoch(run)
        logger.info(
            "epoch %d, step %d/%d: loss %.4f, validation %.2f meV/atom, %.1f meV/Å (%.2f %%)",
            *(run.epoch, run.steps, settings.schedule.steps, loss),
            *(found["energy_mae"], found["force_mae"], found["force_percent"]),
        )


def _finish_epoch(
    run: Run,
    step: Step,
    batches: Sequence[Batch],
    settings: Settings,
    until: int,
    checkpoint: Path,
) -> int:
    """What is left of a pass over all frames, in an order that depends on the epoch alone.

    Returns:
        Steps of the epoch.
    """
    order = np.random.default_rng([settings.seed, run.epoch]).permutation(len(batches))
    chunks = np.array_split(order, steps_of(1, len(order), settings.batch_size))
    saved = time.monotonic()
    while run.in_epoch < len(chunks) and run.steps < until:
        if time.monotonic() - saved > _CHECKPOINT_EVERY:
            run.save(checkpoint)
            saved = time.monotonic()
        take_step(run, step, join([batches[i] for i in chunks[run.in_epoch]]), settings)
    return run.in_epoch


def take_step(run: Run, step: Step, batch: Batch, settings: Settings) -> None:
    """One step of the optimiser."""
    began = time.process_time()
    for group in run.optimizer.param_groups:
        group["lr"] = settings.schedule.rate(run.steps)
    loss, *gradients = step(batch)
    for weight, gradient in zip(run.network.parameters(), gradients, strict=True):
        weight.grad = gradient
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.largest_gradient)
    run.optimizer.step()
    run.average.update_parameters(run.network)
    run.count(float(loss), time.process_time() - began)


def mean_errors(
    network: NetworkFunction, batches: Sequence[Batch], form: ThreeBodyForm
) -> dict[str, float]:
    """Mean absolute errors of energies (meV/atom), and of components of forces and stresses.

    Forces are in meV/Å, and in % of the mean of their absolute values; stresses in GPa.
    """
    energy, force, label, stress = [], [], [], []
    for batch in batches:
        found = batch.predict(network, form)
        energy.append(((found.energies - batch.energies) / batch.sizes).detach())
        force.append((found.forces - batch.forces).reshape(-1))
        label.append(batch.forces.reshape(-1))
        stress.append((found.stresses - batch.stresses).reshape(-1))
    force_error = float(torch.cat(force).abs().mean())
    return {
        "energy_mae": MEV_PER_EV * float(torch.cat(energy).abs().mean()),
        "force_mae": MEV_PER_EV * force_error,
        "force_percent": 100 * force_error / float(torch.cat(label).abs().mean()),
        "stress_mae": float(torch.cat(stress).abs().mean()) / GPa,
    }
