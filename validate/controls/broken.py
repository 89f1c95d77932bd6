"""Subjects that are wrong in one way: a right one, with something done to it on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.neighbors import find_edges
from m3compress.validate.setup.subject import (
    Kind,
    Subject,
    SubjectSpec,
    TrainedModel,
    TrainedSpec,
    read_subject,
)


@dataclass(frozen=True, slots=True)
class Changed:
    """A spec around that of a trained model, which it is for reports and engines.

    Attributes:
        model: What is changed.
    """

    model: TrainedSpec

    @property
    def kind(self) -> Kind:
        """A trained model."""
        return self.model.kind

    @property
    def path(self) -> str:
        """File or folder of the model."""
        return self.model.path

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.model.name

    @property
    def threads(self) -> int | None:
        """Threads of the model."""
        return self.model.threads

    def with_threads(self, threads: int) -> Self:
        """The same on so many threads."""
        return replace(self, model=self.model.with_threads(threads))

    def to_json(self) -> dict[str, Any]:
        """Plain values; :func:`read_spec` reads them."""
        return {**self._change(), "model": self.model.to_json()}

    def identity(self) -> dict[str, Any]:
        """What decides its numbers.

        Raises:
            M3CompressError: If the file of the model cannot be read.
        """
        return {**self._change(), "model": self.model.identity()}

    def _change(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ScaledForces(Changed):
    """Forces and virial times a factor, the energy as it is.

    Attributes:
        factor: The factor.
    """

    factor: float

    def open(self) -> Subject:
        """Load it.

        Raises:
            M3CompressError: If the model cannot be opened.
        """
        return _Scaled(self, self.model.open())

    def _change(self) -> dict[str, Any]:
        return {"kind": "scaled-forces", "factor": self.factor}


class _Scaled:
    def __init__(self, spec: ScaledForces, subject: Subject) -> None:
        self.spec = spec
        self.subject = subject
        self.elements = subject.elements
        self.cutoff = subject.cutoff
        self.three_body_cutoff = subject.three_body_cutoff
        self.receptive_field = subject.receptive_field

    def evaluate(self, atoms: Atoms) -> Evaluation:
        return self._scaled(self.subject.evaluate(atoms))

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        return self._scaled(self.subject.evaluate_shuffled(atoms, rng))

    def _scaled(self, result: Evaluation) -> Evaluation:
        factor = self.spec.factor
        return replace(result, forces=result.forces * factor, virial=result.virial * factor)


@dataclass(frozen=True, slots=True)
class RedrawnTriplets(Changed):
    """A pruned model whose triplets are drawn anew whenever their number changes.

    It prunes by place in the list of triplets, so that all change when one comes or goes.
    """

    def open(self) -> Subject:
        """Load it.

        Raises:
            M3CompressError: If the model cannot be opened.
        """
        return _Redrawn(self, self.model.open())

    def _change(self) -> dict[str, Any]:
        return {"kind": "redrawn-triplets"}


class _Redrawn:
    def __init__(self, spec: RedrawnTriplets, subject: TrainedModel) -> None:
        self.spec = spec
        self.subject = subject
        self.elements = subject.elements
        self.cutoff = subject.cutoff
        self.three_body_cutoff = subject.three_body_cutoff
        self.receptive_field = subject.receptive_field

    def evaluate(self, atoms: Atoms) -> Evaluation:
        return self._drawn_for(atoms).evaluate(atoms)

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        return self._drawn_for(atoms).evaluate_shuffled(atoms, rng)

    def _drawn_for(self, atoms: Atoms) -> TrainedModel:
        edges, vectors = find_edges(atoms, self.cutoff)
        near = np.einsum("ij,ij->i", vectors, vectors) < self.three_body_cutoff**2
        partners = np.bincount(edges.centers[near], minlength=edges.n_atoms)
        n_triplets = int((partners * (partners - 1)).sum())
        potential = self.subject.potential
        drawn = potential.with_form(replace(potential.form, seed=n_triplets))
        return TrainedModel(self.spec, drawn)


def read_spec(document: dict[str, Any]) -> SubjectSpec:
    """Inverse of ``to_json`` of every subject of the gate, broken or not.

    Raises:
        KeyError: If it is the document of something else.
        TypeError: Likewise.
    """
    values = dict(document)
    makers: dict[str, type[ScaledForces] | type[RedrawnTriplets]]
    makers = {"scaled-forces": ScaledForces, "redrawn-triplets": RedrawnTriplets}
    maker = makers.get(values.pop("kind"))
    if maker is None:
        return read_subject(document)
    model = read_subject(values.pop("model"))
    if not isinstance(model, TrainedSpec):
        raise TypeError(f"only a trained model can be broken, got {model.kind!r}")
    return maker(model=model, **values)
