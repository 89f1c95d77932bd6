"""First weights of a network that is trained from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import Batch, join
from m3compress.models.config import M3GNetConfig
from m3compress.models.graph import EdgeGraph
from m3compress.models.network import M3GNet
from m3compress.models.three_body import three_body_sum

#: Structures from which the size of the three-body sums is estimated.
_N_PROBED = 50


def initial_network(config: M3GNetConfig, batches: Sequence[Batch], *, seed: int) -> M3GNet:
    """A fresh network with an awake three-body channel, scaled to the forces of the frames.

    Args:
        config: Sizes and convention.
        batches: Labelled frames, one each.
        seed: Of the weights; PyTorch's own generator is left as it was.

    Returns:
        A network in float32.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = M3GNet(config).to(torch.float32)
    forces = torch.cat([batch.forces for batch in batches])
    network.scales.fill_(float(forces.square().mean().sqrt()))
    wake_three_body(network, join(batches[:: max(1, len(batches) // _N_PROBED)]))
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
