"""Train the built-in model: ``python -m m3compress.distill.recipes.builtin.train``.

Makes and labels frames (:mod:`.frames`), then fits a small M3GNet (:mod:`.recipe`) to their
energies, forces and stresses. Everything is kept in the work directory; an interrupted run goes on
with ``--resume``, in the same order as one that was not interrupted.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import math
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import (
    Batch,
    NetworkFunction,
    fit_references,
    join,
    to_batch,
)
from m3compress.distill.recipes.builtin.frames import make_frames, read_frames
from m3compress.distill.recipes.builtin.recipe import (
    CONFIG,
    Settings,
    initial_network,
    loss_of,
    running_average,
)
from m3compress.distill.training.compiled import Step, compile_step
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance
from m3compress.models.readers.tensorflow import read_tensorflow
from m3compress.models.writers.matgl import save_matgl
from m3compress.units import MEV_PER_EV

logger = logging.getLogger(__name__)


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

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run; schedule and optimiser begin anew."""
        average = torch.load(path, weights_only=True)["average"]
        self.average.load_state_dict(average)
        self.network.load_state_dict(self.average.module.state_dict())
        self.average.n_averaged.zero_()


def start(settings: Settings, batches: list[Batch]) -> Run:
    """A fresh network, its running average and its optimiser."""
    network = initial_network(settings, batches)
    average = AveragedModel(network, multi_avg_fn=running_average(settings.decay))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    return Run(network, average, optimizer)


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
        began = time.monotonic()
        progress = settings.progress(run.epoch + index / len(chunks), run.seconds)
        for group in run.optimizer.param_groups:
            group["lr"] = settings.rate(progress)
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


def errors(network: NetworkFunction, batches: list[Batch]) -> dict[str, float]:
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


def as_potential(network: nn.Module, references: np.ndarray) -> Potential:
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
    work: Path,
    settings: Settings,
    *,
    resume: bool,
    compiled: bool,
    start_from: Path | None = None,
) -> None:
    """Train on the frames of a work directory and save the averaged weights in matgl's format.

    Args:
        work: Holds ``frames``; gets ``checkpoint.pt`` and ``model``.
        settings: How to train.
        resume: Continue from the checkpoint, where there is one.
        compiled: Compile the training step, which needs a C++ compiler.
        start_from: Checkpoint of another run whose averaged weights are the first weights.
    """
    frames = read_frames(work / "frames", "train")
    references = fit_references(frames, CONFIG.elements)
    batches = [to_batch(frame, CONFIG, references) for frame in frames]
    held = [to_batch(f, CONFIG, references) for f in read_frames(work / "frames", "validation")]
    run = start(settings, batches)
    step = make_step(run.network, settings, batches, compiled=compiled)
    if resume and (work / "checkpoint.pt").exists():
        run.load(work / "checkpoint.pt")
    elif start_from is not None:
        run.start_from(start_from)
    while settings.progress(run.epoch, run.seconds) < 1:
        loss = train_epoch(run, step, batches, settings)
        found: dict[str, Any] = {"loss": loss, **errors(run.average.module, held)}
        run.history.append(found)
        run.save(work / "checkpoint.pt", references)
        save_matgl(as_potential(run.average.module, references), work / "model")
        logger.info(
            "epoch %d/%d: loss %.4f, validation %.2f meV/atom, %.1f meV/Å (%.2f %%), %.0f s",
            *(run.epoch, settings.epochs, loss, found["energy_mae"]),
            *(found["force_mae"], found["force_percent"], run.seconds),
        )


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m m3compress.distill.recipes.builtin.train")
    parser.add_argument(
        "--reference", type=Path, required=True, help="TensorFlow checkpoint for the labels"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="directory for frames and checkpoints"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint in --work"
    )
    parser.add_argument(
        "--start-from", type=Path, help="checkpoint.pt of another run to take the weights from"
    )
    parser.add_argument("--learning-rate", type=float, default=Settings().learning_rate)
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="length of the schedule in time"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="do not compile (half the speed)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    keep_memory()
    torch.set_num_threads(chosen.threads)
    reference = read_tensorflow(chosen.reference).with_form(FACTORIZED).to(torch.float32)
    make_frames(reference, chosen.work / "frames")
    settings = replace(
        Settings(),
        epochs=chosen.epochs,
        minutes=chosen.minutes,
        learning_rate=chosen.learning_rate,
    )
    train(
        chosen.work,
        settings,
        resume=chosen.resume,
        compiled=not chosen.eager,
        start_from=chosen.start_from,
    )


if __name__ == "__main__":
    main()
