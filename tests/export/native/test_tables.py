"""Tables of radial functions against the functions themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_networks import CASES, random_potential

from m3compress.errors import ExportError
from m3compress.export.native import tables
from m3compress.export.native.tables import build_tables, sample_edges, sample_triplets
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
    config, found = potential.config, build_tables(potential)
    assert found["tables.edges"].shape[1:] == (3, config.edge_basis_size)
    assert found["tables.edges.reach"].tolist() == [config.cutoff]
    assert all(np.isfinite(table).all() for table in found.values())
    if potential.form.name == "removed":
        assert "tables.triplets" not in found
    else:
        assert found["tables.triplets"].shape[1:] == (3, config.triplet_basis_size + 1)
        reach = min(config.cutoff, config.three_body_cutoff)
        assert found["tables.triplets.reach"].tolist() == [reach]


def test_functions_that_no_table_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_MOST", 64)
    with pytest.raises(ExportError, match="oscillate too fast"):
        build_tables(random_potential("tf"))
