"""The table of losses, against the formula written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import join
from m3compress.distill.losses import HuberLoss, Term
from m3compress.distill.training.initial import initial_network
from m3compress.errors import M3CompressError


def huber(error, delta):
    size = error.abs()
    return torch.where(size < delta, size**2 / 2, delta * (size - delta / 2)).mean()


@pytest.fixture(scope="module")
def network(config, batches):
    return initial_network(config, batches, seed=2)


def test_the_loss_is_the_sum_of_its_rows(network, batches):
    batch = join(batches)
    rows = (Term("energy", 2.0, 0.1), Term("forces", 1.0, 0.2), Term("stress", 10.0, 0.02))
    energies, forces, stresses = batch.predict(network, FACTORIZED)
    expected = (
        2.0 * huber((energies - batch.energies) / batch.sizes, 0.1) / 0.1
        + 1.0 * huber(forces - batch.forces, 0.2) / 0.2
        + 10.0 * huber(stresses - batch.stresses, 0.02) / 0.02
    )
    found = HuberLoss(terms=rows, form=FACTORIZED)(network, batch)
    torch.testing.assert_close(found, expected)
    parts = [HuberLoss(terms=(row,), form=FACTORIZED)(network, batch) for row in rows]
    torch.testing.assert_close(found, sum(parts))


def test_a_structure_counts_as_much_as_it_weighs(network, batches):
    one, other = batches[:2]
    loss = HuberLoss(terms=(Term("forces", 1.0, 0.2),), form=FACTORIZED)
    alone = [loss(network, batch) for batch in (one, other)]
    sizes = [len(batch.species) for batch in (one, other)]
    weighed = replace(other, weights=torch.tensor([0.25]))
    expected = (alone[0] * sizes[0] + 0.25 * alone[1] * sizes[1]) / sum(sizes)
    torch.testing.assert_close(loss(network, join([one, weighed])), expected)


def test_a_table_may_leave_a_quantity_out(network, batches):
    loss = HuberLoss(terms=(Term("energy", 1.0, 0.1),), form=FACTORIZED)
    (gradient, *_) = torch.autograd.grad(loss(network, batches[0]), list(network.parameters()))
    assert torch.isfinite(gradient).all()


def test_an_unknown_quantity_names_those_that_exist():
    with pytest.raises(M3CompressError, match="'charge', expected one of energy, forces, stress"):
        Term("charge", 1.0, 1.0)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_delta_is_positive(delta):
    with pytest.raises(M3CompressError, match="positive"):
        Term("energy", 1.0, delta)
