"""Whose behaviour is measured: an exported file in its engine, or a trained model in PyTorch.

A :class:`SubjectSpec` is a small value that worker processes open for themselves, and a
:class:`Subject` is the opened thing. Positive controls of the gate are subjects too: a model in
another three-body form, or with its forces scaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.forms import parse_form
from m3compress.contract.neighbors import Edges, find_edges
from m3compress.contract.tables import TableInputs
from m3compress.engines.base import complete
from m3compress.engines.codes.ase import Calculator
from m3compress.engines.tables.verlet import species_of

if TYPE_CHECKING:
    from m3compress.models.potential import Potential, Provenance

Kind = Literal["artefact", "model"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectSpec:
    """How to open a subject; picklable and printable.

    Attributes:
        kind: An exported file, or a trained model.
        path: The file or folder.
        name: What reports call it.
        convention: Convention of the model's file, where the file does not say it.
        form: Three-body form of a model: ``native`` (as trained), what
            :func:`~m3compress.contract.forms.parse_form` reads, or ``redrawn=P``: pruned by place
            in the list of triplets, so that all change when one comes or goes. An exported file has
            its own.
        precision: Of a model in PyTorch.
        force_scale: Factor on forces and virial, for the gate's own controls.
        heat: Factor on the temperature of its thermostats, for the same.
        threads: CPU threads of one evaluation.
    """

    kind: Kind
    path: str
    name: str
    convention: str | None = None
    form: str = "native"
    precision: Precision = "float64"
    force_scale: float = 1.0
    heat: float = 1.0
    threads: int | None = None

    def with_threads(self, threads: int) -> SubjectSpec:
        """The same subject on so many threads."""
        return replace(self, threads=threads)

    def open(self) -> Subject:
        """Load it.

        Raises:
            M3CompressError: If the file cannot be opened or the form does not exist.
        """
        opened: Subject = ExportedFile(self) if self.kind == "artefact" else TrainedModel(self)
        return opened


class Subject(Protocol):
    """Something with energies and forces, and the lengths that checks need to know.

    Attributes:
        spec: What was opened.
        elements: Chemical symbols it knows.
        cutoff: Cutoff of the edges in Å.
        three_body_cutoff: Cutoff of the three-body block in Å.
        receptive_field: An atom further away (Å) does not change an atom's energy.
    """

    spec: SubjectSpec
    elements: tuple[str, ...]
    cutoff: float
    three_body_cutoff: float
    receptive_field: float

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy (eV), energies of the atoms, forces (eV/Å) and virial (eV).

        Raises:
            StructureError: If the structure has no meaningful energy.
        """

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        """The same with the neighbours of every atom in a random order.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """


class ExportedFile:
    """An exported file in its engine; see :class:`Subject`."""

    def __init__(self, spec: SubjectSpec) -> None:
        self.spec = spec
        # No skin: a check changes atoms, cells and species from one call to the next.
        self.calculator = Calculator(spec.path, threads=spec.threads)
        manifest = self.calculator.manifest
        self.elements = manifest.elements
        self.cutoff = manifest.cutoff
        self.three_body_cutoff = manifest.three_body_cutoff
        self.receptive_field = manifest.receptive_field

    def evaluate(self, atoms: Atoms) -> Evaluation:
        return _scaled(self.calculator.evaluate(atoms), self.spec.force_scale)

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        manifest = self.calculator.manifest
        species = species_of(atoms, manifest.elements)
        inputs = _with_slots_shuffled(self.calculator.table.update(atoms, species), rng)
        result = complete(manifest, species, self.calculator.engine.run(inputs))
        return _scaled(result, self.spec.force_scale)


class TrainedModel:
    """A trained model in PyTorch; see :class:`Subject`."""

    def __init__(self, spec: SubjectSpec) -> None:
        import torch

        from m3compress.models.readers.open import read_model

        self.spec = spec
        potential = read_model(spec.path, convention=spec.convention)
        dtype = {"float32": torch.float32, "float64": torch.float64}[spec.precision]
        self.potential = _in_form(potential, spec.form).to(dtype)
        config = potential.config
        self.elements = config.elements
        self.cutoff = config.cutoff
        self.three_body_cutoff = config.three_body_cutoff
        self.receptive_field = config.receptive_field

    def evaluate(self, atoms: Atoms) -> Evaluation:
        edges, vectors = find_edges(atoms, self.cutoff)
        return self._evaluate(atoms, edges, vectors)

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        edges, vectors = find_edges(atoms, self.cutoff)
        # Edges stay sorted by their centre: only the order of its neighbours is free.
        order = np.lexsort((rng.random(len(edges.centers)), edges.centers))
        shuffled = Edges(
            edges.centers[order], edges.neighbors[order], edges.images[order], edges.n_atoms
        )
        return self._evaluate(atoms, shuffled, vectors[order])

    def _evaluate(self, atoms: Atoms, edges: Edges, vectors: npt.NDArray[np.float64]) -> Evaluation:
        from m3compress.models.potential import evaluate

        with _torch_threads(self.spec.threads):
            result = evaluate(self._redrawn(edges, vectors), atoms, edges=(edges, vectors))
        return _scaled(result, self.spec.force_scale)

    def _redrawn(self, edges: Edges, vectors: npt.NDArray[np.float64]) -> Potential:
        """The potential; for ``redrawn=P`` with triplets drawn anew for every number of them."""
        if not self.spec.form.startswith("redrawn"):
            return self.potential
        near = np.einsum("ij,ij->i", vectors, vectors) < self.three_body_cutoff**2
        partners = np.bincount(edges.centers[near], minlength=edges.n_atoms)
        n_triplets = int((partners * (partners - 1)).sum())
        return self.potential.with_form(replace(self.potential.form, seed=n_triplets))


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    """Threads of PyTorch, which has one number for the whole process; None for what it has."""
    import torch

    before = torch.get_num_threads()
    if threads is not None and threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _in_form(potential: Potential, form: str) -> Potential:
    if form == "native":
        return potential
    return potential.with_form(parse_form(form.replace("redrawn=", "pruned=")))


def _with_slots_shuffled(inputs: TableInputs, rng: np.random.Generator) -> TableInputs:
    """The same edges, with the slots of every row in another order, empty ones among them."""
    n_atoms, width = inputs.mask.shape
    order = rng.permuted(np.tile(np.arange(width), (n_atoms, 1)), axis=1)
    new_slot = np.argsort(order, axis=1)
    center, slot = np.divmod(inputs.incoming, width)
    incoming = center * width + new_slot[center, slot]
    order_in = rng.permuted(np.tile(np.arange(incoming.shape[1]), (n_atoms, 1)), axis=1)
    return replace(
        inputs,
        neighbors=np.take_along_axis(inputs.neighbors, order, axis=1),
        mask=np.take_along_axis(inputs.mask, order, axis=1),
        edge_vectors=np.take_along_axis(inputs.edge_vectors, order[:, :, None], axis=1),
        incoming=np.take_along_axis(incoming, order_in, axis=1),
        incoming_mask=np.take_along_axis(inputs.incoming_mask, order_in, axis=1),
    )


def _scaled(result: Evaluation, factor: float) -> Evaluation:
    if factor == 1.0:
        return result
    return replace(result, forces=result.forces * factor, virial=result.virial * factor)


def exported(path: Path, *, threads: int | None = None) -> SubjectSpec:
    """The spec of an exported file."""
    return SubjectSpec(kind="artefact", path=str(path), name="artefact", threads=threads)


def trained(path: str | Path, convention: str | None = None) -> SubjectSpec:
    """The spec of a trained model as it was trained, in float64: the reference."""
    return SubjectSpec(kind="model", path=str(path), name="reference", convention=convention)


def provenance_of(subject: Subject) -> Provenance | None:
    """Where a trained model came from; None for an exported file."""
    return subject.potential.provenance if isinstance(subject, TrainedModel) else None
