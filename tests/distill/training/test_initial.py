"""First weights: repeatable, of the size of the forces, with angles awake."""

from __future__ import annotations

import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import join
from m3compress.distill.training.initial import initial_network
from m3compress.models.graph import EdgeGraph
from m3compress.models.three_body import three_body_sum


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_generator_alone(config, batches):
    torch.manual_seed(5)
    first = initial_network(config, batches, seed=3).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    again = initial_network(config, batches, seed=3).state_dict()
    other = initial_network(config, batches, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_energies_are_scaled_to_the_forces(config, batches):
    network = initial_network(config, batches, seed=3)
    size = torch.cat([batch.forces for batch in batches]).square().mean().sqrt()
    assert network.scales.tolist() == pytest.approx([size.item()] * 2)


def test_the_three_body_sums_enter_at_unit_size(config, batches):
    network = initial_network(config, batches, seed=3)
    batch = join(batches)
    graph = EdgeGraph(batch.centers, batch.neighbors, batch.vectors, len(batch.species))
    block = network.blocks[0].three_body
    with torch.no_grad():
        gate = torch.sigmoid(block.atom_gate(network.embedding(batch.species)))
        geometry = network.describe(graph, FACTORIZED).triplets
        size = three_body_sum(geometry, gate, FACTORIZED).square().mean(0).sqrt()
        weights = next(block.update.parameters())
    # Undoing the scaling gives the weights that PyTorch draws: at most 1 / √(width of the input).
    assert (weights * size).abs().max() <= weights.shape[1] ** -0.5
    assert (size < 0.5).all()
