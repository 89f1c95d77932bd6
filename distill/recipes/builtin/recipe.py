"""What the built-in model is and how it is trained: sizes, settings, first weights and loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import Batch, NetworkFunction, join
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.graph import EdgeGraph
from m3compress.models.network import M3GNet
from m3compress.models.three_body import three_body_sum

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
        epochs: Length of the schedule.
        minutes: The same in time; the schedule follows whichever is further on.
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

    epochs: int = 66
    minutes: float = math.inf
    batch_size: int = 4
    learning_rate: float = 2e-3
    warm_up: float = 0.02
    decay: float = 0.998
    largest_gradient: float = 5.0
    energy_weight: float = 2.0
    force_weight: float = 1.0
    stress_weight: float = 10.0
    seed: int = 20220101

    def progress(self, epochs: float, seconds: float) -> float:
        """Fraction of the schedule after so many epochs and seconds of training."""
        return max(epochs / self.epochs, seconds / (60 * self.minutes))

    def rate(self, progress: float) -> float:
        """Learning rate at a fraction of the schedule: a short rise, then half a cosine."""
        rise = min(1.0, (progress + 1e-4) / self.warm_up)
        return (
            self.learning_rate * rise * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * progress)))
        )


def initial_network(settings: Settings, batches: list[Batch]) -> M3GNet:
    """A fresh network with an awake three-body channel, scaled to the forces of the frames."""
    torch.manual_seed(settings.seed)
    network = M3GNet(CONFIG).to(torch.float32)
    forces = torch.cat([batch.forces for batch in batches])
    network.scales.fill_(float(forces.square().mean().sqrt()))
    wake_three_body(network, join(batches[:: max(1, len(batches) // 50)]))
    return network


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
    blocks: Any = network.blocks
    for block in blocks:
        gate = torch.sigmoid(block.three_body.atom_gate(network.embedding(batch.species)))
        size = three_body_sum(geometry, gate, FACTORIZED).square().mean(0).sqrt()
        for weight in block.three_body.update.parameters():
            weight.div_(size)


Tensors = tuple[Tensor, ...] | list[Tensor]


def running_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential average that forgets the first steps quickly."""

    def update(averages: Tensors, currents: Tensors, count: Tensor | int) -> None:
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
