"""A crystal of Morse pairs, to be broken in one way at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.neighbors import find_edges
from m3compress.engines.dynamics.job import Job
from m3compress.engines.spec import ArtefactSpec


class Copper:
    """Morse pairs with a smooth end; ``change`` spoils an evaluation, told its number."""

    elements = ("Cu",)
    cutoff = 5.0
    depth, steepness, bond = 0.4, 1.4, 2.7  # eV, 1/Å, Å

    def __init__(self, change: Callable[[int, Evaluation], dict[str, Any]] | None = None) -> None:
        self.change = change
        self.count = 0

    def pair(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energy in eV and slope in eV/Å."""
        x = np.exp(-self.steepness * (r - self.bond))
        end = (1 - (r / self.cutoff) ** 2) ** 3
        end_slope = -6 * r / self.cutoff**2 * (1 - (r / self.cutoff) ** 2) ** 2
        value, slope = x * x - 2 * x, 2 * self.steepness * (x - x * x)
        return self.depth * value * end, self.depth * (slope * end + value * end_slope)

    def evaluate(self, atoms: Atoms) -> Evaluation:
        edges, vectors = find_edges(atoms, self.cutoff)
        lengths = np.linalg.norm(vectors, axis=1)
        value, slope = self.pair(lengths)
        energies = np.bincount(edges.centers, value / 2, minlength=len(atoms))
        pulls = (slope / 2 / lengths)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, edges.centers, pulls)
        np.subtract.at(forces, edges.neighbors, pulls)
        found = Evaluation(float(energies.sum()), energies, forces, vectors.T @ pulls)
        self.count += 1
        return replace(found, **self.change(self.count, found)) if self.change else found


@pytest.fixture
def copper() -> type[Copper]:
    return Copper


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """``make_job(ensemble, ...)``: a run of 32 copper atoms; every field may be given by name."""
    model = tmp_path / "model"
    model.write_bytes(b"Morse")

    def make(ensemble: str = "nvt", **fields: Any) -> Job:
        given: dict[str, Any] = {
            "name": f"copper-{ensemble}",
            "evaluator": ArtefactSpec(path=str(model)),
            "structure": bulk("Cu", cubic=True).repeat(2),
            "ensemble": ensemble,
            "temperature": 300.0,
            "timestep": 2.0,
            "equilibration": 50,
            "steps": 100,
            "every": 2,
            "seed": 1,
            "friction": 0.02,
            **fields,
        }
        return Job(**given)

    return make


@pytest.fixture(scope="session")
def artefact_spec(silica_artefact: Path) -> ArtefactSpec:
    """The built-in silica model, exported, on one thread; not to be changed."""
    return ArtefactSpec(path=str(silica_artefact), threads=1)
