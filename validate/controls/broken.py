"""Subjects made of a right one, with something done to it on the way: mostly something wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation, EvaluatorSpec
from m3compress.contract.neighbors import Edges
from m3compress.engines.calculators import CalculatorSpec
from m3compress.validate.setup.subject import (
    Kind,
    SubjectSpec,
    TrainedModel,
    TrainedSpec,
    read_subject,
)

if TYPE_CHECKING:
    from m3compress.models.potential import Potential


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

    def open(self) -> TrainedModel:
        """Load it.

        Raises:
            M3CompressError: If the model cannot be opened.
        """
        return self._changed(self.model.open().potential)

    def _change(self) -> dict[str, Any]:
        """What is done, as plain values."""
        raise NotImplementedError

    def _changed(self, potential: Potential) -> TrainedModel:
        """The model with that done to it."""
        raise NotImplementedError


class _Altered(TrainedModel):
    """A model whose every answer is altered, given the structure."""

    def __init__(
        self,
        spec: SubjectSpec,
        potential: Potential,
        alter: Callable[[Evaluation, Atoms], Evaluation],
    ) -> None:
        super().__init__(spec, potential)
        self._alter = alter

    def evaluate_edges(self, atoms: Atoms, edges: Edges, vectors: FloatArray) -> Evaluation:
        return self._alter(super().evaluate_edges(atoms, edges, vectors), atoms)


@dataclass(frozen=True, slots=True)
class ScaledForces(Changed):
    """Forces and virial times a factor, the energy as it is.

    Attributes:
        factor: The factor.
    """

    factor: float

    def _change(self) -> dict[str, Any]:
        return {"kind": "scaled-forces", "factor": self.factor}

    def _changed(self, potential: Potential) -> TrainedModel:
        return _Altered(self, potential, self._scale)

    def _scale(self, result: Evaluation, atoms: Atoms) -> Evaluation:
        del atoms
        return replace(
            result, forces=result.forces * self.factor, virial=result.virial * self.factor
        )


@dataclass(frozen=True, slots=True)
class Pressed(Changed):
    """The work against a pressure added to the energy: crystals too small, or too large.

    Forces are right, and stress and energy agree with each other.

    Attributes:
        pressure: In GPa; a negative one makes crystals larger.
    """

    pressure: float

    def _change(self) -> dict[str, Any]:
        return {"kind": "pressed", "pressure": self.pressure}

    def _changed(self, potential: Potential) -> TrainedModel:
        return _Altered(self, potential, self._press)

    def _press(self, result: Evaluation, atoms: Atoms) -> Evaluation:
        if not atoms.pbc.all():
            return result
        work = self.pressure * units.GPa * atoms.get_volume()
        return replace(
            result,
            energy=result.energy + work,
            energies=result.energies + work / len(atoms),
            virial=result.virial + work * np.eye(3),
        )


@dataclass(frozen=True, slots=True)
class Reordered(Changed):
    """A model that is right, and rounds otherwise: neighbours are summed last to first."""

    def _change(self) -> dict[str, Any]:
        return {"kind": "reordered"}

    def _changed(self, potential: Potential) -> TrainedModel:
        return _Backwards(self, potential)


class _Backwards(TrainedModel):
    def evaluate_edges(self, atoms: Atoms, edges: Edges, vectors: FloatArray) -> Evaluation:
        # By centre still, which the network wants; within a centre the other way round.
        order = np.lexsort((-np.arange(len(edges.centers)), edges.centers))
        return super().evaluate_edges(atoms, edges.select(order), vectors[order])


@dataclass(frozen=True, slots=True)
class RedrawnTriplets(Changed):
    """A pruned model whose triplets are drawn anew whenever their number changes.

    It prunes by place in the list of triplets, so that all change when one comes or goes.
    """

    def _change(self) -> dict[str, Any]:
        return {"kind": "redrawn-triplets"}

    def _changed(self, potential: Potential) -> TrainedModel:
        return _Redrawn(self, potential)


class _Redrawn(TrainedModel):
    def evaluate_edges(self, atoms: Atoms, edges: Edges, vectors: FloatArray) -> Evaluation:
        near = np.einsum("ij,ij->i", vectors, vectors) < self.three_body_cutoff**2
        partners = np.bincount(edges.centers[near], minlength=edges.n_atoms)
        n_triplets = int((partners * (partners - 1)).sum())
        form = replace(self.potential.form, seed=n_triplets)
        drawn = TrainedModel(self.spec, self.potential.with_form(form))
        return drawn.evaluate_edges(atoms, edges, vectors)


def read_spec(document: dict[str, Any]) -> EvaluatorSpec:
    """Inverse of ``to_json`` of every subject of the gate, broken or not, and of calculators.

    Raises:
        KeyError: If it is the document of something else.
        TypeError: Likewise.
    """
    values = dict(document)
    makers: dict[str, type[ScaledForces | Pressed | Reordered | RedrawnTriplets]] = {
        "scaled-forces": ScaledForces,
        "pressed": Pressed,
        "reordered": Reordered,
        "redrawn-triplets": RedrawnTriplets,
    }
    kind = values.pop("kind")
    if kind == "ase":
        return CalculatorSpec.from_json(values)
    maker = makers.get(kind)
    if maker is None:
        return read_subject(document)
    model = read_subject(values.pop("model"))
    if not isinstance(model, TrainedSpec):
        raise TypeError(f"only a trained model can be broken, got {model.kind!r}")
    return maker(model=model, **values)
