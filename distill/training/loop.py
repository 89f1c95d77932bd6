"""Epochs of training that can be killed at any time and go on as if nothing had happened."""

from __future__ import annotations

import logging
import math
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
from m3compress.distill.training.schedule import Schedule
from m3compress.distill.training.step import Step
from m3compress.units import MEV_PER_EV

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        schedule: Length and learning rate.
        loss: What to make small.
        batch_size: Structures in a batch.
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
    after_epoch: Callable[[Run], None] | None = None,
) -> None:
    """Train from where the run is to the end of the schedule.

    Args:
        run: Changed in place.
        step: Loss and gradients of a batch by the run's network.
        batches: Labelled frames to learn from, one each.
        held_back: Labelled frames to measure errors on after each epoch, one each.
        settings: How to train.
        checkpoint: Written after each epoch.
        after_epoch: Called once the checkpoint is written.

    Raises:
        M3CompressError: If the checkpoint cannot be written.
    """
    schedule = settings.schedule
    while schedule.progress(run.epoch, run.seconds) < 1:
        loss = train_epoch(run, step, batches, settings)
        found = mean_errors(run.averaged, held_back, settings.loss.form)
        run.history.append({"loss": loss, **found})
        run.save(checkpoint)
        if after_epoch is not None:
            after_epoch(run)
        logger.info(
            "epoch %d/%d: loss %.4f, validation %.2f meV/atom, %.1f meV/Å (%.2f %%), %.0f s",
            *(run.epoch, schedule.epochs, loss, found["energy_mae"]),
            *(found["force_mae"], found["force_percent"], run.seconds),
        )


def train_epoch(run: Run, step: Step, batches: Sequence[Batch], settings: Settings) -> float:
    """One pass over all frames in an order that depends on the epoch alone; the mean loss."""
    order = np.random.default_rng([settings.seed, run.epoch]).permutation(len(batches))
    chunks = np.array_split(order, math.ceil(len(order) / settings.batch_size))
    total = 0.0
    for index, chunk in enumerate(chunks):
        began = time.monotonic()
        progress = settings.schedule.progress(run.epoch + index / len(chunks), run.seconds)
        for group in run.optimizer.param_groups:
            group["lr"] = settings.schedule.rate(progress)
        loss, *gradients = step(join([batches[i] for i in chunk]))
        for weight, gradient in zip(run.network.parameters(), gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.largest_gradient)
        run.optimizer.step()
        run.average.update_parameters(run.network)
        total += float(loss) / len(chunks)
        run.seconds += time.monotonic() - began
    run.epoch += 1
    return total


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
