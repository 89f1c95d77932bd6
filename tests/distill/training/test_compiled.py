"""The compiled step: the same numbers as the eager one, and no setting of torch left changed."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch.fx.experimental import _config as symbolic_shapes

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.data.batches import join
from m3compress.distill.losses import HuberLoss, Term
from m3compress.distill.training.compiled import compile_step
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.step import eager_step

LOSS = HuberLoss(terms=(Term("energy", 2.0, 0.1), Term("forces", 1.0, 0.2)), form=FACTORIZED)


class Springs(torch.nn.Module):
    """Energies of bonds, in place of a network: tracing M3GNet takes a minute."""

    def __init__(self):
        super().__init__()
        self.stiffness = torch.nn.Parameter(torch.tensor([0.3, 0.7]))
        self.length = torch.nn.Parameter(torch.tensor(2.2))

    def forward(self, graph, species, form):
        lengths = graph.vectors.square().sum(1).sqrt()
        bonds = self.stiffness[species[graph.centers]] * (lengths - self.length) ** 2
        return bonds.new_zeros(species.shape[0]).index_add(0, graph.centers, bonds)


@pytest.fixture
def network():
    return Springs()


@pytest.fixture(params=[True, False])
def duck_shape(request):
    with symbolic_shapes.patch(use_duck_shape=request.param):
        yield request.param


@pytest.fixture
def seen(monkeypatch):
    """The setting at every call of what was compiled, with a compiler that does nothing."""
    found = []

    def interpret(graph, **options):
        def run(*arguments):
            found.append(symbolic_shapes.use_duck_shape)
            return graph(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", interpret)
    return found


def compare(network, batches):
    """Step and eager step, on batches of other sizes than the one that was traced."""
    step, eager = compile_step(network, LOSS, join(batches[:4])), eager_step(network, LOSS)
    for batch in (join(batches), batches[0], join(batches[3:])):
        for found, expected in zip(step(batch), eager(batch), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_traced_step_is_the_eager_one_for_any_sizes(network, batches, seen, duck_shape):
    compare(network, batches)
    assert seen == [False] * 4
    assert symbolic_shapes.use_duck_shape is duck_shape


def test_a_batch_without_edges_is_not_compiled_for(network, batches, seen):
    step, eager = compile_step(network, LOSS, join(batches[:4])), eager_step(network, LOSS)
    none = {name: getattr(batches[0], name)[:0] for name in ("centers", "neighbors", "vectors")}
    apart = replace(batches[0], **none)
    for found, expected in zip(step(apart), eager(apart), strict=True):
        torch.testing.assert_close(found, expected)
    assert len(seen) == 1, "by the example alone"


def test_the_setting_of_torch_outlives_a_failure(network, batches, monkeypatch, duck_shape):
    def refuse(graph, **options):
        def run(*arguments):
            raise RuntimeError("there is no C++ compiler")

        return run

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(RuntimeError, match="compiler"):
        compile_step(network, LOSS, join(batches[:4]))
    assert symbolic_shapes.use_duck_shape is duck_shape

    def broken(function, batch):
        raise ValueError("no such loss")

    with pytest.raises(ValueError, match="no such loss"):
        compile_step(network, broken, join(batches[:4]))
    assert symbolic_shapes.use_duck_shape is duck_shape


@pytest.mark.slow
def test_the_traced_step_of_m3gnet_is_the_eager_one(config, batches, seen):
    compare(initial_network(config, batches, seed=6), batches)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_compiled_step_is_the_eager_one(network, batches, n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        # Compiling M3GNet itself takes minutes.
        compare(network, batches)
    finally:
        torch.set_num_threads(before)
    assert symbolic_shapes.use_duck_shape is True
