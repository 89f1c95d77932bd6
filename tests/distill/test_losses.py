"""The table of losses, against the formula written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import Batch, join
from m3compress.distill.losses import QUANTITIES, HuberLoss, Term
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
    rows = (
        Term("energy", 2.0, 0.1),
        Term("forces", 1.0, 0.2),
        Term("stress", 10.0, 0.02),
        Term("atom_energy", 0.5, 0.1),
        Term("curvature", 0.1, 3.0),
    )
    energies, atomic, forces, stresses, curved = batch.predict(network, FACTORIZED, curved=True)
    expected = (
        2.0 * huber((energies - batch.energies) / batch.sizes, 0.1) / 0.1
        + 1.0 * huber(forces - batch.forces, 0.2) / 0.2
        + 10.0 * huber(stresses - batch.stresses, 0.02) / 0.02
        + 0.5 * huber(atomic - batch.atom_energies, 0.1) / 0.1
        + 0.1 * huber(curved - batch.curvatures, 3.0) / 3.0
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


def test_unknown_energies_of_atoms_say_nothing(network, batches):
    batch, row = join(batches), Term("atom_energy", 0.5, 0.1)
    known = torch.arange(len(batch.species)) % 2 == 0
    half = replace(batch, atom_energies=torch.where(known, batch.atom_energies, torch.nan))
    loss = HuberLoss(terms=(row,), form=FACTORIZED)
    error = (batch.predict(network, FACTORIZED).atom_energies - batch.atom_energies)[known]
    expected = 0.5 * huber(error, 0.1) / 0.1 * known.float().mean()
    torch.testing.assert_close(loss(network, half), expected)
    none = replace(batch, atom_energies=torch.full_like(batch.atom_energies, torch.nan))
    value = loss(network, none)
    gradients = torch.autograd.grad(value, list(network.parameters()), materialize_grads=True)
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_unknown_curvatures_say_nothing(network, batches):
    one, other = batches[:2]
    loss = HuberLoss(terms=(Term("curvature", 1.0, 3.0),), form=FACTORIZED)
    alone, sizes = loss(network, one), [len(batch.species) for batch in (one, other)]
    unknown = replace(other, curvatures=torch.full_like(other.curvatures, torch.nan))
    found = loss(network, join([one, unknown]))
    torch.testing.assert_close(found, alone * sizes[0] / sum(sizes))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_gradient_of_every_row_is_that_of_finite_differences(config, batches, quantity):
    network = initial_network(config, batches, seed=2).double()
    batch = join(batches)
    exact = Batch(
        **{
            name: value.double() if value.is_floating_point() else value
            for name, value in ((name, getattr(batch, name)) for name in Batch.__slots__)
        }
    )
    loss = HuberLoss(terms=(Term(quantity, 1.0, 100.0),), form=FACTORIZED)
    weights = list(network.parameters())
    gradients = torch.autograd.grad(loss(network, exact), weights, materialize_grads=True)
    rng = torch.Generator().manual_seed(1)
    way = [torch.randn(w.shape, generator=rng, dtype=w.dtype) for w in weights]

    def moved(step):
        with torch.no_grad():
            for weight, direction in zip(weights, way, strict=True):
                weight += step * direction
        value = float(loss(network, exact).detach())
        with torch.no_grad():
            for weight, direction in zip(weights, way, strict=True):
                weight -= step * direction
        return value

    found = sum(float((g * d).sum()) for g, d in zip(gradients, way, strict=True))
    assert found == pytest.approx((moved(1e-5) - moved(-1e-5)) / 2e-5, rel=1e-4)
    assert found != 0


def test_a_table_may_leave_a_quantity_out(network, batches):
    loss = HuberLoss(terms=(Term("energy", 1.0, 0.1),), form=FACTORIZED)
    (gradient, *_) = torch.autograd.grad(loss(network, batches[0]), list(network.parameters()))
    assert torch.isfinite(gradient).all()


def test_an_unknown_quantity_names_those_that_exist():
    with pytest.raises(
        M3CompressError, match="'charge', expected one of energy, atom_energy, forces"
    ):
        Term("charge", 1.0, 1.0)


@pytest.mark.parametrize("delta", [0.0, -1.0, float("nan")])
def test_delta_is_positive(delta):
    with pytest.raises(M3CompressError, match="positive"):
        Term("energy", 1.0, delta)
