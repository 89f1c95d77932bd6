"""SOAP on stacks of weights, against a weight on its own and against Adam."""

from __future__ import annotations

import io

import pytest
import torch

from m3compress.distill.training.soap import Soap

SHAPES = [(4, 6), (6,), (4, 6), (1, 3), (6,)]


def weights():
    generator = torch.Generator().manual_seed(2)
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]
    return [torch.nn.Parameter(values) for values in made]


def descend(parameters, optimizer, steps, first=0):
    for step in range(first, first + steps):
        for number, weight in enumerate(parameters):
            generator = torch.Generator().manual_seed(100 * step + number)
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.grad = weight.detach() + noise
        optimizer.step()


def test_a_stack_of_weights_goes_where_each_would_go_alone():
    together, alone = weights(), weights()
    descend(together, Soap(together, lr=0.01), 25)
    for number, weight in enumerate(alone):
        optimizer = Soap([weight], lr=0.01)
        for step in range(25):
            generator = torch.Generator().manual_seed(100 * step + number)
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.grad = weight.detach() + noise
            optimizer.step()
        torch.testing.assert_close(weight, together[number], rtol=1e-9, atol=1e-9)


def test_weights_with_one_axis_get_the_steps_of_adam():
    mine = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    theirs = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    soap = Soap([mine], lr=0.01)
    mine.grad = torch.zeros(3, dtype=torch.float64)
    soap.step()  # the first gradient moves nothing
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.95, 0.95), eps=0.0)
    for step in range(20):
        for weight, optimizer in ((mine, soap), (theirs, adam)):
            weight.grad = torch.cos(step + torch.arange(3, dtype=torch.float64))
            optimizer.step()
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def test_with_one_weight_it_is_adam_in_the_eigenbasis_of_the_outer_products():
    weight = torch.nn.Parameter(torch.zeros(3, 2, dtype=torch.float64))
    optimizer = Soap([weight], lr=0.1)
    generator = torch.Generator().manual_seed(3)
    first, second = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    weight.grad = first
    optimizer.step()
    assert torch.equal(weight.detach(), torch.zeros(3, 2, dtype=torch.float64))
    weight.grad = second
    optimizer.step()
    left = torch.linalg.eigh(first @ first.T).eigenvectors
    right = torch.linalg.eigh(first.T @ first).eigenvectors
    # After one step, the corrected mean over the corrected root of the mean square is a sign.
    expected = -0.1 * left @ torch.sign(left.T @ second @ right) @ right.T
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 9, 10, 13])
def test_a_saved_state_goes_on_to_the_last_bit(steps):
    whole, killed = weights(), weights()
    descend(whole, Soap(whole, lr=0.01), 30)
    before = Soap(killed, lr=0.01)
    descend(killed, before, steps)
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    after = Soap(killed, lr=0.01)
    file.seek(0)
    after.load_state_dict(torch.load(file, weights_only=True))
    descend(killed, after, 30 - steps, first=steps)
    assert all(torch.equal(a, b) for a, b in zip(whole, killed, strict=True))


def test_a_weight_without_a_gradient_stays():
    parameters = weights()
    optimizer = Soap(parameters, lr=0.01)
    before = parameters[2].detach().clone()
    for _ in range(12):
        for weight in (*parameters[:2], *parameters[3:]):
            weight.grad = weight.detach().clone()
        optimizer.step()
    assert torch.equal(parameters[2], before)
    assert all(torch.isfinite(weight).all() for weight in parameters)
