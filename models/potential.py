"""A trained potential: network, three-body form, energy references, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.forms import MISROUTED, TRIPLETS, ThreeBodyForm
from m3compress.contract.neighbors import Edges, find_edges
from m3compress.errors import StructureError
from m3compress.models.config import Convention, M3GNetConfig
from m3compress.models.graph import EdgeGraph
from m3compress.models.network import M3GNet


@dataclass(frozen=True, slots=True)
class Writer:
    """Which program wrote a file, as far as the file tells.

    Attributes:
        versions: "matgl 4.0 or newer".
        because: What tells it: "it has compile_mode".
        conventions: Those that this program computes with.
    """

    versions: str
    because: str
    conventions: tuple[str, ...]

    def __str__(self) -> str:
        """One clause for messages."""
        return f"written by {self.versions} ({self.because})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a potential came from.

    Attributes:
        format: Name of the file format that was read.
        path: File or directory as given by the user.
        sha256: Hash of the weights file.
        evidence: How the convention was decided (see :mod:`m3compress.models.detection`).
        writer: Who wrote the file, where it tells.
        shortest: Shortest distance (Å) of each pair of elements in the training domain, where it is
            known; see :mod:`m3compress.contract.distances`.
        record: How it was made, plain values, where the file tells.
    """

    format: str
    path: str
    sha256: str
    evidence: dict[str, Any] = field(default_factory=dict)
    writer: Writer | None = None
    shortest: dict[str, float] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> str:
        """How the convention was found, in one line."""
        return str(self.evidence.get("reason", "the file format settles it"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Potential:
    """A network with everything needed to turn it into energies.

    Attributes:
        network: The M3GNet.
        form: Which three-body form is evaluated.
        element_energies: Reference energy of each element in eV, float64, in the order of
            ``network.config.elements``.
        energy_offset: Energy in eV added once per structure.
        provenance: Where it came from.
    """

    network: M3GNet
    form: ThreeBodyForm
    element_energies: FloatArray
    energy_offset: float
    provenance: Provenance

    @property
    def config(self) -> M3GNetConfig:
        """The network's configuration."""
        return self.network.config

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols it knows."""
        return self.config.elements

    @property
    def cutoff(self) -> float:
        """Cutoff of the edges in Å."""
        return self.config.cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """See :func:`evaluate`.

        Raises:
            StructureError: If the structure cannot be evaluated.
        """
        return evaluate(self, atoms)

    def with_form(self, form: ThreeBodyForm) -> Potential:
        """The same weights with another three-body form."""
        return replace(self, form=form)

    def with_convention(self, convention: Convention, evidence: dict[str, Any]) -> Potential:
        """The same weights read in another convention, with the evidence for it.

        The form becomes the one the convention was trained with.
        """
        network = M3GNet(self.config.with_convention(convention)).to(self.network.scales.dtype)
        network.load_state_dict(self.network.state_dict())
        return replace(
            self,
            network=network.eval().requires_grad_(requires_grad=False),
            form=native_form(convention),
            provenance=replace(self.provenance, evidence=evidence),
        )

    def to(self, dtype: torch.dtype) -> Potential:
        """A copy in another floating-point precision."""
        network = M3GNet(self.config).to(dtype)
        network.load_state_dict(self.network.state_dict())
        return replace(self, network=network.eval().requires_grad_(requires_grad=False))

    def species(self, atoms: Atoms) -> IntArray:
        """Row of every atom's element in the embedding, shape (n_atoms,).

        Raises:
            StructureError: If the model does not know an element.
        """
        rows = {atomic_numbers[symbol]: row for row, symbol in enumerate(self.config.elements)}
        unknown = sorted(
            {s for s, z in zip(atoms.symbols, atoms.numbers, strict=True) if z not in rows}
        )
        if unknown:
            known = self.config.elements
            listed = ", ".join(known) if len(known) <= 12 else f"{len(known)} others"
            raise StructureError(
                f"the model does not know {', '.join(unknown)}; it was trained on {listed}"
            )
        return np.array([rows[z] for z in atoms.numbers], dtype=np.int64)


def native_form(convention: Convention) -> ThreeBodyForm:
    """The three-body form of models that were trained in a convention."""
    return MISROUTED if convention.triplet_index == "pruned" else TRIPLETS


def evaluate(
    potential: Potential, atoms: Atoms, edges: tuple[Edges, FloatArray] | None = None
) -> Evaluation:
    """Energy, forces and virial by the PyTorch model: the reference of everything else.

    Args:
        potential: The potential, in the precision and on the device on which to evaluate.
        atoms: A structure.
        edges: Edges and vectors, where the caller wants another order than the canonical one.

    Raises:
        StructureError: If the structure cannot be evaluated.
    """
    species = potential.species(atoms)
    listed, vectors = edges if edges is not None else find_edges(atoms, potential.config.cutoff)
    scales = potential.network.scales
    dtype, device = scales.dtype, scales.device
    leaf = torch.tensor(vectors, dtype=dtype, device=device, requires_grad=True)
    graph = EdgeGraph(
        centers=torch.from_numpy(listed.centers).to(device),
        neighbors=torch.from_numpy(listed.neighbors).to(device),
        vectors=leaf,
        n_atoms=listed.n_atoms,
    )
    energies = potential.network(graph, torch.from_numpy(species).to(device), potential.form)
    network = energies.detach().to(torch.float64).cpu().numpy()
    total = network + potential.element_energies[species]
    if listed.centers.size:
        (gradient,) = torch.autograd.grad(energies.sum(), leaf)
    else:
        gradient = torch.zeros_like(leaf)
    pulls = gradient.to(torch.float64).cpu().numpy()
    forces = np.zeros((listed.n_atoms, 3))
    np.add.at(forces, listed.centers, pulls)
    np.subtract.at(forces, listed.neighbors, pulls)
    virials = np.zeros((listed.n_atoms, 3, 3))
    np.add.at(virials, listed.centers, vectors[:, :, None] * pulls[:, None, :])
    return Evaluation(
        energies=total,
        energy=float(total.sum() + potential.energy_offset),
        forces=forces,
        virial=vectors.T @ pulls,
        virials=virials,
    )
