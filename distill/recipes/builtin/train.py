"""Train the built-in model: ``python -m m3compress.distill.recipes.builtin.train``.

Makes and labels frames (:mod:`.frames`), then fits a small M3GNet (:mod:`.recipe`) to their
energies, forces and stresses. Everything is kept in the work directory; an interrupted run goes on
with ``--resume``, in the same order as one that was not interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from m3compress.contract.distances import shortest_distances
from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import fit_references, join, to_batch
from m3compress.distill.data.frame_store import FrameStore
from m3compress.distill.data.plan import Group, of_split
from m3compress.distill.recipes.builtin.frames import plan, sampler
from m3compress.distill.recipes.builtin.recipe import CONFIG, EPOCHS, LEARNING_RATE
from m3compress.distill.recipes.builtin.recipe import settings as recipe
from m3compress.distill.training.compiled import compile_step
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.loop import train
from m3compress.distill.training.memory import keep_memory
from m3compress.distill.training.run import Run, begin
from m3compress.distill.training.step import eager_step
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import SHORTEST
from m3compress.models.readers.tensorflow import read_tensorflow
from m3compress.models.writers.matgl import save_matgl

FRAMES = "frames"
CHECKPOINT = "checkpoint.pt"

#: Frames that a compiled step is traced with: more than in any batch, so that no sizes coincide.
_N_TRACED = 7


def make_frames(reference: Potential, work: Path, groups: Sequence[Group]) -> None:
    """Make and label the frames that the work directory does not hold yet.

    Args:
        reference: Labels them, in its own precision and three-body form.
        work: Gets ``frames`` and ``trajectories``.
        groups: Which ones.

    Raises:
        M3CompressError: If a frame cannot be made or written.
    """
    make = sampler(reference, reference.provenance.sha256, work / "trajectories")
    FrameStore(work / FRAMES).fill(groups, make)


def train_builtin(
    work: Path,
    groups: Sequence[Group],
    *,
    epochs: int = EPOCHS,
    learning_rate: float = LEARNING_RATE,
    resume: bool,
    compiled: bool,
    start_from: Path | None = None,
) -> None:
    """Train on the frames of a work directory and save the averaged weights in matgl's format.

    Args:
        work: Holds ``frames``; gets ``checkpoint.pt`` and ``model``.
        groups: The frames: those of the splits ``train`` and ``validation`` are used.
        epochs: Passes over all frames.
        learning_rate: Peak.
        resume: Continue from the checkpoint, where there is one.
        compiled: Compile the training step, which needs a C++ compiler.
        start_from: Checkpoint of another run whose averaged weights are the first weights.

    Raises:
        M3CompressError: If a checkpoint cannot be read or written, or belongs to something else.
    """
    store = FrameStore(work / FRAMES)
    frames = store.read(of_split(groups, "train"))
    settings = recipe(len(frames), epochs=epochs, learning_rate=learning_rate)
    references = fit_references(frames, CONFIG.elements)
    batches = [to_batch(frame, CONFIG, references) for frame in frames]
    held_back = store.read(of_split(groups, "validation"))
    held = [to_batch(frame, CONFIG, references) for frame in held_back]
    network = initial_network(CONFIG, batches, seed=settings.seed)
    run = begin(
        network,
        references,
        decay=settings.decay,
        learning_rate=settings.schedule.learning_rate,
    )
    if compiled:
        step = compile_step(network, settings.loss, join(batches[:_N_TRACED]))
    else:
        step = eager_step(network, settings.loss)
    checkpoint = work / CHECKPOINT
    if resume and checkpoint.exists():
        run.load(checkpoint)
    elif start_from is not None:
        run.start_from(start_from)

    metadata = {SHORTEST: shortest_distances(frames, CONFIG.cutoff)}

    def save_model(run: Run) -> None:
        save_matgl(run.potential(settings.loss.form), work / "model", metadata)

    train(run, step, batches, held, settings, checkpoint=checkpoint, after_epoch=save_model)
    # A run killed between its last checkpoint and its model has nothing left to train.
    save_model(run)


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
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="do not compile (half the speed)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    keep_memory()
    torch.set_num_threads(chosen.threads)
    reference = read_tensorflow(chosen.reference).with_form(FACTORIZED).to(torch.float32)
    groups = plan()
    make_frames(reference, chosen.work, groups)
    train_builtin(
        chosen.work,
        groups,
        epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        resume=chosen.resume,
        compiled=not chosen.eager,
        start_from=chosen.start_from,
    )


if __name__ == "__main__":
    main()
