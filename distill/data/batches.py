"""Labelled frames as tensors, and batches of them as one graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from m3compress.contract.arrays import FloatArray
from m3compress.contract.forms import ThreeBodyForm
from m3compress.contract.neighbors import find_edges
from m3compress.distill.data.labels import CURVATURE, DIRECTION, energies_of_atoms, largest_force
from m3compress.models.config import M3GNetConfig
from m3compress.models.graph import EdgeGraph, Graph
from m3compress.units import VOIGT

#: A network in the sense of a loss: (graph, species, form) → energies of the atoms in eV.
NetworkFunction = Callable[[Graph, Tensor, ThreeBodyForm], Tensor]

_ROWS = torch.tensor([row for row, _ in VOIGT])
_COLUMNS = torch.tensor([column for _, column in VOIGT])


class Prediction(NamedTuple):
    """What a network says about a batch, in the shapes and units of :class:`Batch`."""

    energies: Tensor
    atom_energies: Tensor
    forces: Tensor
    stresses: Tensor
    curvatures: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One or more structures as one graph, with what the label potential says about them.

    Attributes:
        centers: Index i of every edge, shape (n_edges,).
        neighbors: Index j of every edge, shape (n_edges,).
        vectors: r_ij in Å, shape (n_edges, 3).
        species: Row of every atom's element, shape (n_atoms,).
        owners: Structure of every atom, shape (n_atoms,).
        sizes: Atoms of every structure, shape (n_structures,).
        volumes: In Å³, shape (n_structures,).
        energies: Of every structure in eV, less the element references, shape (n_structures,).
        atom_energies: Of every atom, likewise; NaN where they are unknown, shape (n_atoms,).
        forces: In eV/Å, shape (n_atoms, 3).
        stresses: In eV/Å³, Voigt order, shape (n_structures, 6).
        weights: What the errors of each structure count in a loss, shape (n_structures,).
        directions: A direction v in the space of all positions, shape (n_atoms, 3).
        curvatures: The Hessian times v in eV/Å²; NaN where it is unknown, shape (n_atoms, 3).
    """

    centers: Tensor
    neighbors: Tensor
    vectors: Tensor
    species: Tensor
    owners: Tensor
    sizes: Tensor
    volumes: Tensor
    energies: Tensor
    atom_energies: Tensor
    forces: Tensor
    stresses: Tensor
    weights: Tensor
    directions: Tensor
    curvatures: Tensor

    def predict(
        self,
        network: NetworkFunction,
        form: ThreeBodyForm,
        *,
        training: bool = False,
        curved: bool = False,
    ) -> Prediction:
        """Energies, forces and stresses by a network.

        Args:
            network: The network, in the dtype of the batch.
            form: How to evaluate the three-body block.
            training: Whether the results shall be differentiable by the weights.
            curved: Whether to predict curvatures, too, which takes another derivative.
        """
        leaf = self.vectors.detach().clone().requires_grad_()
        graph = EdgeGraph(self.centers, self.neighbors, leaf, self.species.shape[0])
        atomic = network(graph, self.species, form)
        (pull,) = torch.autograd.grad(atomic.sum(), leaf, create_graph=training or curved)
        n_structures = self.sizes.shape[0]
        energies = atomic.new_zeros(n_structures).index_add(0, self.owners, atomic)
        outer = self.vectors[:, _ROWS] * pull[:, _COLUMNS]
        outer = outer + self.vectors[:, _COLUMNS] * pull[:, _ROWS]
        edge_owners = self.owners[self.centers]
        virials = outer.new_zeros(n_structures, 6).index_add(0, edge_owners, outer) / 2
        return Prediction(
            energies,
            atomic,
            self._to_atoms(pull),
            virials / self.volumes[:, None],
            self._curvatures(pull, leaf, training=training) if curved else None,
        )

    def _to_atoms(self, pull: Tensor) -> Tensor:
        """−∂/∂x from ∂/∂r of the edges, shape (n_atoms, 3)."""
        found = torch.zeros_like(self.forces).index_add(0, self.centers, pull)
        return found.index_add(0, self.neighbors, pull, alpha=-1)

    def _curvatures(self, pull: Tensor, leaf: Tensor, *, training: bool) -> Tensor:
        """H v: the gradient of v · ∇E, where v moves an edge by the difference of its ends."""
        moved = self.directions[self.neighbors] - self.directions[self.centers]
        (twice,) = torch.autograd.grad((pull * moved).sum(), leaf, create_graph=training)
        return -self._to_atoms(twice)


def to_batch(
    frame: Atoms, config: M3GNetConfig, references: FloatArray, *, calm: float = math.inf
) -> Batch:
    """One labelled frame as a batch of one, in float32.

    Args:
        frame: A frame with energy, forces and stress.
        config: Of the network to train; only its elements and cutoff matter.
        references: Energy of each of its elements in eV, to be subtracted.
        calm: Frames whose largest force is k times this one (eV/Å) count 1/k: a few atoms too close
            to each other would otherwise be what a training is about.
    """
    weight = min(1.0, calm / max(largest_force(frame), 1e-12))
    edges, vectors = find_edges(frame, config.cutoff)
    species = np.array([config.elements.index(symbol) for symbol in frame.symbols])
    energy = frame.get_potential_energy() - references[species].sum()
    atom_energies = energies_of_atoms(frame) - references[species]
    return Batch(
        centers=torch.from_numpy(edges.centers),
        neighbors=torch.from_numpy(edges.neighbors),
        vectors=torch.tensor(vectors, dtype=torch.float32),
        species=torch.from_numpy(species),
        owners=torch.zeros(len(frame), dtype=torch.int64),
        sizes=torch.tensor([len(frame)]),
        volumes=torch.tensor([frame.get_volume()], dtype=torch.float32),
        energies=torch.tensor([energy], dtype=torch.float32),
        atom_energies=torch.tensor(atom_energies, dtype=torch.float32),
        forces=torch.tensor(frame.get_forces(), dtype=torch.float32),
        stresses=torch.tensor(frame.get_stress(), dtype=torch.float32)[None],
        weights=torch.tensor([weight], dtype=torch.float32),
        directions=_column(frame, DIRECTION, 0.0),
        curvatures=_column(frame, CURVATURE, math.nan),
    )


def _column(frame: Atoms, name: str, otherwise: float) -> Tensor:
    """A vector of every atom, shape (n_atoms, 3)."""
    values = frame.arrays.get(name, np.full((len(frame), 3), otherwise))
    return torch.tensor(values, dtype=torch.float32)


def join(batches: Sequence[Batch]) -> Batch:
    """Several batches as one."""
    counts = torch.tensor([len(batch.species) for batch in batches])
    first_atoms = (torch.cumsum(counts, 0) - counts).tolist()
    structures = torch.tensor([len(batch.sizes) for batch in batches])
    first_structures = (torch.cumsum(structures, 0) - structures).tolist()
    shifts = {"centers": first_atoms, "neighbors": first_atoms, "owners": first_structures}
    fields: dict[str, Tensor] = {}
    for name in Batch.__slots__:
        values = [getattr(batch, name) for batch in batches]
        if name in shifts:
            values = [value + shift for value, shift in zip(values, shifts[name], strict=True)]
        fields[name] = torch.cat(values)
    return Batch(**fields)


def fit_references(frames: Sequence[Atoms], elements: Sequence[str]) -> FloatArray:
    """Energy of each element in eV, shape (n_elements,).

    The mean of the energies of its atoms where all frames tell them, which is right for any
    composition; else by least squares over energies per atom. The values are rounded to float32,
    which is what the file will hold.
    """
    atomic = np.concatenate([energies_of_atoms(frame) for frame in frames])
    symbols = np.concatenate([np.array(frame.symbols) for frame in frames])
    if np.isfinite(atomic).all():
        means = [atomic[symbols == name].mean() if name in symbols else 0.0 for name in elements]
        return np.array(means, dtype=np.float32).astype(np.float64)
    counts = np.array([[np.sum(frame.symbols == name) for name in elements] for frame in frames])
    sizes = counts.sum(1, keepdims=True)
    energies = np.array([frame.get_potential_energy() for frame in frames])
    solution = np.linalg.lstsq(counts / sizes, energies / sizes[:, 0], rcond=None)[0]
    return np.asarray(solution.astype(np.float32), dtype=np.float64)
