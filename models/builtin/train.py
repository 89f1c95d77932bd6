"""Train the built-in model: ``python -m m3compress.models.builtin.train --reference DIR --work DIR``.

Makes and labels frames (:mod:`.frames`), then fits a small M3GNet to their energies, forces and
stresses. Everything is kept in the work directory; an interrupted run continues with ``--resume``, and
gives the same weights as one that was not interrupted.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss
from torch.optim.swa_utils import AveragedModel

from m3compress.models.builtin.compiled import NetworkFunction, Step, compile_step
from m3compress.models.builtin.dataset import Batch, fit_references, join, to_batch
from m3compress.models.builtin.frames import make_frames, read_frames
from m3compress.models.builtin.save import save_matgl
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.graph import EdgeGraph
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance
from m3compress.models.readers.tensorflow import read_tensorflow
from m3compress.models.three_body import FACTORIZED, three_body_sum
from m3compress.units import MEV_PER_EV

logger = logging.getLogger(__name__)

WIDTH = 64

CONFIG = M3GNetConfig(
    elements=("O", "Si"),
    cutoff=5.0,
    three_body_cutoff=4.0,
    max_n=5,
    max_l=3,
    n_blocks=2,
    node_width=WIDTH,
    edge_width=WIDTH,
    hidden=(WIDTH, WIDTH),
    readout_hidden=(WIDTH, WIDTH, WIDTH),
    edge_basis="smooth",
    triplet_basis="smooth",
    edge_bias=True,
    message_activation="identity",
    convention=CONVENTIONS["matgl-4.1"],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Attributes:
        epochs: Length of the learning-rate schedule.
        batch_size: Structures in a batch.
        learning_rate: Peak of the schedule.
        warm_up: Fraction of the schedule over which the rate rises.
        decay: Of the running average of the weights, per step.
        largest_gradient: Norm at which gradients are clipped.
        energy_weight: Of the Huber loss on eV/atom.
        force_weight: Of the Huber loss on eV/Å.
        stress_weight: Of the Huber loss on eV/Å³.
        seed: Of the initial weights and of the order of the frames.
    """

    epochs: int = 120
    batch_size: int = 5
    learning_rate: float = 2e-3
    warm_up: float = 0.02
    decay: float = 0.998
    largest_gradient: float = 5.0
    energy_weight: float = 2.0
    force_weight: float = 1.0
    stress_weight: float = 10.0
    seed: int = 20220101

    def rate(self, progress: float) -> float:
        """Learning rate at a fraction of the schedule: a short rise, then half a cosine."""
        rise = min(1.0, (progress + 1e-4) / self.warm_up)
        return self.learning_rate * rise * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * progress)))


@dataclass(slots=True)
class Run:
    """Everything that changes while training."""

    network: M3GNet
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path, references: np.ndarray) -> None:
        """Write a checkpoint; never half of one."""
        partial = path.with_suffix(".partial")
        document = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
            "references": torch.tensor(references),
        }
        torch.save(document, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        document = torch.load(path, weights_only=True)
        self.network.load_state_dict(document["network"])
        self.average.load_state_dict(document["average"])
        self.optimizer.load_state_dict(document["optimizer"])
        self.epoch = int(document["epoch"])
        self.seconds = float(document["seconds"])
        self.history = document["history"]


def start(settings: Settings, batches: list[Batch]) -> Run:
    """A fresh network with an awake three-body channel, its average and its optimiser."""
    torch.manual_seed(settings.seed)
    network = M3GNet(CONFIG).to(torch.float32)
    forces = torch.cat([batch.forces for batch in batches])
    network.scales.fill_(float(forces.square().mean().sqrt()))
    wake_three_body(network, join(batches[:: max(1, len(batches) // 50)]))
    average = AveragedModel(network, multi_avg_fn=_running_average(settings.decay))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    return Run(network, average, optimizer)


@torch.no_grad()
def wake_three_body(network: M3GNet, batch: Batch) -> None:
    """Scale the initial weights of the three-body updates to inputs of unit size.

    T is of the order of 0.01, so that the usual initial weights make a channel that says next to
    nothing; the network then learns around it and angles stay unused.
    """
    graph = EdgeGraph(batch.centers, batch.neighbors, batch.vectors, len(batch.species))
    geometry = network.describe(graph, FACTORIZED).triplets
    if geometry is None:
        return
    for block in network.blocks:
        gate = torch.sigmoid(block.three_body.atom_gate(network.embedding(batch.species)))
        size = three_body_sum(geometry, gate, FACTORIZED).square().mean(0).sqrt()
        for weight in block.three_body.update.parameters():
            weight.div_(size)


def _running_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Exponential average that forgets the first steps quickly."""

    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor) -> None:
        kept = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        with torch.no_grad():
            for average, current in zip(averages, currents, strict=True):
                average.lerp_(current, 1.0 - kept)

    return update


def loss_of(network: NetworkFunction, batch: Batch, settings: Settings) -> Tensor:
    """Weighted sum of the Huber losses; energies count per atom."""
    energies, forces, stresses = batch.predict(network, FACTORIZED, training=True)
    return (
        settings.energy_weight
        * huber_loss(energies / batch.sizes, batch.energies / batch.sizes, delta=0.1)
        / 0.1
        + settings.force_weight * huber_loss(forces, batch.forces, delta=0.2) / 0.2
        + settings.stress_weight * huber_loss(stresses, batch.stresses, delta=0.02) / 0.02
    )


def make_step(network: M3GNet, settings: Settings, batches: list[Batch], *, compiled: bool) -> Step:
    """A function of a batch that returns the loss and its gradients by the weights."""

    def loss(function: NetworkFunction, batch: Batch) -> Tensor:
        return loss_of(function, batch, settings)

    if compiled:
        return compile_step(network, loss, join(batches[:7]))

    def step(batch: Batch) -> tuple[Tensor, ...]:
        value = loss(network, batch)
        return (value.detach(), *torch.autograd.grad(value, list(network.parameters())))

    return step


def train_epoch(run: Run, step: Step, batches: list[Batch], settings: Settings) -> float:
    """One pass over all frames in an order that depends on the epoch alone; the mean loss."""
    order = np.random.default_rng([settings.seed, run.epoch]).permutation(len(batches))
    chunks = np.array_split(order, math.ceil(len(order) / settings.batch_size))
    total = 0.0
    for index, chunk in enumerate(chunks):
        progress = (run.epoch + index / len(chunks)) / settings.epochs
        for group in run.optimizer.param_groups:
            group["lr"] = settings.rate(progress)
        loss, *gradients = step(join([batches[i] for i in chunk]))
        for weight, gradient in zip(run.network.parameters(), gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), settings.largest_gradient)
        run.optimizer.step()
        run.average.update_parameters(run.network)
        total += float(loss) / len(chunks)
    run.epoch += 1
    return total


def errors(network: M3GNet, batches: list[Batch]) -> dict[str, float]:
    """Mean absolute errors: energy in meV/atom, force in meV/Å and in % of the mean |F|."""
    energy, force, label = [], [], []
    for batch in batches:
        energies, forces, _ = batch.predict(network, FACTORIZED)
        energy.append(((energies - batch.energies) / batch.sizes).detach())
        force.append((forces - batch.forces).reshape(-1))
        label.append(batch.forces.reshape(-1))
    force_error = float(torch.cat(force).abs().mean())
    return {
        "energy_mae": MEV_PER_EV * float(torch.cat(energy).abs().mean()),
        "force_mae": MEV_PER_EV * force_error,
        "force_percent": 100 * force_error / float(torch.cat(label).abs().mean()),
    }


def as_potential(network: M3GNet, references: np.ndarray) -> Potential:
    """The network with its element references as a potential."""
    copy = M3GNet(CONFIG).to(torch.float32)
    copy.load_state_dict(network.state_dict())
    return Potential(
        network=copy.eval().requires_grad_(requires_grad=False),
        form=FACTORIZED,
        element_energies=references,
        energy_offset=0.0,
        provenance=Provenance(format="m3compress", path="", sha256=""),
    )


def keep_memory() -> None:
    """Let glibc keep freed memory: mapping large tensors anew in every step takes half the time."""
    if sys.platform != "linux":
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(mmap_threshold, 1 << 25)
        library.mallopt(trim_threshold, (1 << 31) - 1)
    except (OSError, AttributeError):
        logger.debug("this C library has no mallopt")


def train(
    work: Path, settings: Settings, *, resume: bool, minutes: float, compiled: bool
) -> None:
    """Train on the frames of a work directory and save the averaged weights in matgl's format.

    Args:
        work: Holds ``frames``; gets ``checkpoint.pt`` and ``model``.
        settings: How to train.
        resume: Continue from the checkpoint, where there is one.
        minutes: Stop (resumably) after this time.
        compiled: Compile the training step, which needs a C++ compiler.
    """
    frames = read_frames(work / "frames", "train")
    references = fit_references(frames, CONFIG.elements)
    batches = [to_batch(frame, CONFIG, references) for frame in frames]
    held = [to_batch(f, CONFIG, references) for f in read_frames(work / "frames", "validation")]
    run = start(settings, batches)
    if resume and (work / "checkpoint.pt").exists():
        run.load(work / "checkpoint.pt")
    stop = time.monotonic() + 60 * minutes
    step = make_step(run.network, settings, batches, compiled=compiled)
    while run.epoch < settings.epochs and time.monotonic() < stop:
        began = time.monotonic()
        loss = train_epoch(run, step, batches, settings)
        run.seconds += time.monotonic() - began
        found: dict[str, Any] = {"loss": loss, **errors(run.average.module, held)}
        run.history.append(found)
        run.save(work / "checkpoint.pt", references)
        save_matgl(as_potential(run.average.module, references), work / "model")
        logger.info(
            "epoch %d/%d  loss %.4f  validation: energy %.2f meV/atom, force %.1f meV/Å (%.2f %%)  %.0f s",
            run.epoch, settings.epochs, loss,
            found["energy_mae"], found["force_mae"], found["force_percent"], run.seconds,
        )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m m3compress.models.builtin.train", description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, help="TensorFlow checkpoint for the labels")
    parser.add_argument("--work", type=Path, required=True, help="directory for frames and checkpoints")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop, resumably, after this time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="do not compile (half the speed)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    keep_memory()
    torch.set_num_threads(chosen.threads)
    reference = read_tensorflow(chosen.reference).with_form(FACTORIZED).to(torch.float32)
    make_frames(reference, chosen.work / "frames")
    settings = replace(Settings(), epochs=chosen.epochs)
    train(
        chosen.work,
        settings,
        resume=chosen.resume,
        minutes=chosen.minutes,
        compiled=not chosen.eager,
    )


if __name__ == "__main__":
    main()
