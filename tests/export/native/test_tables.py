"""Tables of radial functions against the functions themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_networks import CASES, random_potential

from m3compress.errors import ExportError
from m3compress.export.native import tables
from m3compress.export.native.tables import build_core, polynomials, sample_edges, sample_triplets
from m3compress.models.radial import polynomial_cutoff

DISTANCES = np.array([0.3, 0.9, 1.7, 2.6, 3.3, 3.9, 4.1])


@pytest.mark.parametrize("name", ["tf", "matgl-4.1, bessel", "mattersim"])
def test_samples_are_the_functions_and_their_derivatives(name: str) -> None:
    network = random_potential(name).network
    r = torch.tensor(DISTANCES[:, None], requires_grad=True)
    edges = network.edge_basis(r)
    taper = polynomial_cutoff(r, network.config.three_body_cutoff)
    triplets = torch.cat([network.triplet_basis(r) * taper, taper], dim=-1)
    for values, sample in ((edges, sample_edges), (triplets, sample_triplets)):
        found = sample(network, DISTANCES)
        assert np.abs(found[:, 0] - values.detach().numpy()).max() < 1e-11
        for column in range(values.shape[1]):
            (slope,) = torch.autograd.grad(values[:, column].sum(), r, create_graph=True)
            (curvature,) = torch.autograd.grad(slope.sum(), r, retain_graph=True)
            assert np.abs(found[:, 1, column] - slope.detach().numpy()[:, 0]).max() < 1e-9
            assert np.abs(found[:, 2, column] - curvature.numpy()[:, 0]).max() < 1e-8


@pytest.mark.parametrize("name", CASES)
def test_what_a_file_holds(name: str) -> None:
    potential = random_potential(name)
    config, found = potential.config, build_core(potential)
    assert found["core.edges"].shape[1:] == (6, config.edge_basis_size)
    assert found["core.edges.reach"].tolist() == [config.cutoff]
    assert all(np.isfinite(table).all() for table in found.values())
    symbols = [bytes(int(x) for x in row if x).decode() for row in found["core.symbols"]]
    assert tuple(symbols) == config.elements
    reach = min(config.cutoff, config.three_body_cutoff) if "core.triplets" in found else 0.0
    assert found["core.sizes"][:3].tolist() == [2, config.cutoff, reach]
    assert ("core.triplets" in found) == (potential.form.name != "removed")
    if "core.triplets" in found:
        assert found["core.triplets"].shape[1:] == (6, config.triplet_basis_size + 1)
        assert found["core.triplets.reach"].tolist() == [reach]


def test_polynomials_are_splines_of_the_functions() -> None:
    grid, step = np.linspace(0, 2, 5), 0.5
    samples = np.stack([np.sin(grid), np.cos(grid), -np.sin(grid)], axis=1)[:, :, None]
    found = polynomials(samples, step)[:, :, 0]
    for place, coefficients in enumerate(found):
        for t in (0.0, 0.3, 1.0):
            value = np.polyval(coefficients[::-1], t)
            assert value == pytest.approx(np.sin(grid[place] + t * step), abs=2e-7)


def test_functions_that_no_table_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST", 64)
    with pytest.raises(ExportError, match="oscillate too fast"):
        build_core(random_potential("tf"))
