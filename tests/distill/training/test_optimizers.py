"""Optimisers by name, on a valley that is narrow and oblique."""

from __future__ import annotations

import pytest
import torch

from m3compress.distill.training.optimizers import make_optimizer


def descend(name, n_steps=300):
    """Loss after so many steps on |A (W − W*) B|², ill-conditioned in rotated axes."""
    generator = torch.Generator().manual_seed(1)
    q, _ = torch.linalg.qr(torch.randn(8, 8, generator=generator))
    valley = q @ torch.diag(torch.logspace(0, -2, 8)) @ q.T
    aim = torch.randn(8, 8, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = make_optimizer(name, [weight], 1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = (valley @ (weight - aim) @ valley).square().sum()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_soap_finds_the_axes_of_a_valley_that_adam_does_not_see():
    adam = descend("adam")
    soap = descend("soap")
    assert soap < 0.5 * adam


def test_an_unknown_one_is_refused():
    with pytest.raises(KeyError):
        make_optimizer("sgd", [], 1e-2)
