"""Whose behaviour is measured: an exported file in its engine, or a trained model in PyTorch.

A :class:`SubjectSpec` is a small value that worker processes open for themselves, and a
:class:`Subject` is the opened thing. What the gate tests itself with are subjects too; see
``validate/controls``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np
from ase import Atoms

from m3compress.contract.arrays import FloatArray
from m3compress.contract.backends import Device
from m3compress.contract.evaluation import Evaluation, EvaluatorSpec
from m3compress.contract.neighbors import Edges, find_edges
from m3compress.engines.conformance.probed import Probed, ProbedArtefact
from m3compress.engines.spec import ArtefactSpec
from m3compress.models.spec import ModelSpec, torch_threads

if TYPE_CHECKING:
    from m3compress.models.potential import Potential, Provenance

Kind = Literal["artefact", "model"]


class Subject(Probed, Protocol):
    """What is measured, and what it was opened from."""

    @property
    def spec(self) -> SubjectSpec:
        """What was opened."""


class SubjectSpec(EvaluatorSpec, Protocol):
    """How to open a subject: a small value, picklable and printable."""

    @property
    def kind(self) -> Kind:
        """Whether an exported file is measured, or a trained model."""

    @property
    def path(self) -> str:
        """Its file or folder."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def threads(self) -> int | None:
        """CPU threads of one evaluation; None for what the engine takes."""

    def open(self) -> Subject:
        """Load it.

        Raises:
            M3CompressError: If the file cannot be opened or the form does not exist.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSpec(ArtefactSpec):
    """An exported file as a subject.

    Attributes:
        name: What reports call it.
    """

    name: str = "artefact"

    @property
    def kind(self) -> Kind:
        """An exported file."""
        return "artefact"

    def open(self) -> ExportedFile:
        """Load it.

        Raises:
            ArtefactError: If the file is damaged, not ours, or not one for this device.
            MissingDependencyError: If its runtime or the device is missing.
        """
        return ExportedFile(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values; :func:`read_subject` reads them."""
        return {**ArtefactSpec.to_json(self), "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSpec(ModelSpec):
    """A trained model in PyTorch as a subject.

    Attributes:
        name: What reports call it.
        evidence: How ``convention`` was found, where it was; for the provenance of what is opened.
    """

    name: str = "reference"
    evidence: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> Kind:
        """A trained model."""
        return "model"

    def open(self) -> TrainedModel:
        """Load it.

        Raises:
            M3CompressError: If the file cannot be opened or the form does not exist.
        """
        potential = self.read()
        if self.evidence is not None:
            origin = replace(potential.provenance, evidence=self.evidence)
            potential = replace(potential, provenance=origin)
        return TrainedModel(self, potential)

    def to_json(self) -> dict[str, Any]:
        """Plain values; :func:`read_subject` reads them."""
        return {**ModelSpec.to_json(self), "name": self.name}

    def identity(self) -> dict[str, Any]:
        """What decides its numbers.

        Raises:
            M3CompressError: If the file cannot be read.
        """
        document = ModelSpec.identity(self)
        del document["name"]
        return document


_SPECS: Final[dict[str, type[ExportedSpec] | type[TrainedSpec]]] = {
    "artefact": ExportedSpec,
    "model": TrainedSpec,
}


def read_subject(document: dict[str, Any]) -> ExportedSpec | TrainedSpec:
    """Inverse of ``to_json`` of both.

    Raises:
        KeyError: If it is the document of something else.
        TypeError: Likewise.
    """
    values = dict(document)
    return _SPECS[values.pop("kind")](**values)


class ExportedFile(ProbedArtefact):
    """An exported file in its engine; see :class:`Subject`."""

    def __init__(self, spec: ExportedSpec) -> None:
        super().__init__(spec.path, device=spec.device, threads=spec.threads)
        self.spec = spec


class TrainedModel:
    """A trained model in PyTorch; see :class:`Subject`.

    Args:
        spec: What was opened.
        potential: The model in the form and precision of ``spec``.
    """

    def __init__(self, spec: SubjectSpec, potential: Potential) -> None:
        self.spec = spec
        self.potential = potential
        config = potential.config
        self.elements = config.elements
        self.cutoff = config.cutoff
        self.three_body_cutoff = config.three_body_cutoff
        self.receptive_field = config.receptive_field

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """See :class:`Subject`.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        return self.evaluate_edges(atoms, *find_edges(atoms, self.cutoff))

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        """See :class:`Subject`.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        edges, vectors = find_edges(atoms, self.cutoff)
        # Edges stay sorted by their centre: only the order of its neighbours is free.
        order = np.lexsort((rng.random(len(edges.centers)), edges.centers))
        return self.evaluate_edges(atoms, edges.select(order), vectors[order])

    def evaluate_edges(self, atoms: Atoms, edges: Edges, vectors: FloatArray) -> Evaluation:
        """What the model says of a structure whose edges are known.

        Args:
            atoms: The structure.
            edges: All its edges, sorted by centre.
            vectors: Theirs in Å, shape (n_edges, 3).
        """
        from m3compress.models.potential import evaluate

        with torch_threads(self.spec.threads):
            return evaluate(self.potential, atoms, edges=(edges, vectors))


def exported(path: Path, *, device: Device = "cpu", threads: int | None = None) -> ExportedSpec:
    """The spec of an exported file."""
    return ExportedSpec(path=str(path), device=device, threads=threads)


def trained(path: str | Path, convention: str | None = None) -> TrainedSpec:
    """The spec of a trained model as it was trained, in float64: the reference."""
    return TrainedSpec(path=str(path), convention=convention)


def provenance_of(subject: Subject) -> Provenance | None:
    """Where a trained model came from; None for an exported file."""
    return subject.potential.provenance if isinstance(subject, TrainedModel) else None
