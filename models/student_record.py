"""What the file of a student says of itself: teacher, data, recipe, errors and domain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from ase import Atoms, units
from pydantic import BaseModel, ConfigDict, ValidationError

from m3compress.contract.distances import shortest_distances
from m3compress.errors import CheckpointError, StructureError
from m3compress.models.potential import Potential
from m3compress.models.readers.native import write_native

#: Key of the record in the provenance of a potential.
STUDENT: Final = "student"
#: g/cm³ of 1 amu/Å³.
_DENSITY: Final = 1e27 / units.kg


def density(atoms: Atoms) -> float:
    """In g/cm³."""
    return float(_DENSITY * atoms.get_masses().sum() / atoms.get_volume())


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Domain(_Strict):
    """What a student was shown, and so what it is for.

    Attributes:
        elements: Chemical symbols.
        temperatures: Of dynamics in K, lowest and highest; None if there were none.
        shortest: Shortest distance in Å of each pair of elements (``O-Si``).
        densities: Lowest and highest in g/cm³.
    """

    elements: tuple[str, ...]
    temperatures: tuple[float, float] | None
    shortest: dict[str, float]
    densities: tuple[float, float]

    @classmethod
    def of(cls, frames: Sequence[Atoms], temperatures: Sequence[float], cutoff: float) -> Self:
        """The domain of frames.

        Args:
            frames: What the student was trained on.
            temperatures: Of the trajectories among them, in K.
            cutoff: Of the student in Å; longer distances are not looked for.

        Raises:
            StructureError: If there are no frames.
        """
        if not frames:
            raise StructureError("there are no frames whose domain could be told")
        densities = [density(frame) for frame in frames]
        return cls(
            elements=tuple(sorted({symbol for frame in frames for symbol in frame.symbols})),
            temperatures=(min(temperatures), max(temperatures)) if temperatures else None,
            shortest=shortest_distances(frames, cutoff),
            densities=(round(min(densities), 4), round(max(densities), 4)),
        )

    def holds(self, atoms: Atoms, margin: float = 1e-4) -> bool:
        """Whether elements and density of a structure lie inside.

        Args:
            atoms: The structure.
            margin: Densities may lie outside by so much, relatively; they are rounded.
        """
        low, high = self.densities
        inside = low * (1 - margin) <= density(atoms) <= high * (1 + margin)
        return inside and set(atoms.symbols) <= set(self.elements)

    def __str__(self) -> str:
        """One clause for tables."""
        warm = "" if self.temperatures is None else "{:g}–{:g} K, ".format(*self.temperatures)
        return "{}, {}{:.3g}–{:.3g} g/cm³".format(" ".join(self.elements), warm, *self.densities)


class Errors(_Strict):
    """How far a student is from its teacher: mean absolute errors on frames that it did not learn.

    Attributes:
        energy_mae: In meV/atom.
        force_mae: Of a component, in meV/Å.
        force_percent: The same in % of the mean |F| of a component.
        stress_mae: Of a component, in GPa, where it was measured.
    """

    energy_mae: float
    force_mae: float
    force_percent: float
    stress_mae: float | None = None

    def __str__(self) -> str:
        """One clause for tables."""
        return (
            f"{self.force_mae:.1f} meV/Å ({self.force_percent:.1f} %), "
            f"{self.energy_mae:.2f} meV/atom"
        )


class StudentRecord(_Strict):
    """How a student came to be.

    Attributes:
        teacher: :meth:`~m3compress.contract.teacher.Teacher.to_json`.
        data: What it was trained on: frames by split and kind, hash of the plan.
        recipe: Settings of the training.
        errors: By what they were measured on, such as ``test``.
        domain: What it is for.
    """

    teacher: dict[str, Any]
    data: dict[str, Any]
    recipe: dict[str, Any]
    errors: dict[str, Errors]
    domain: Domain

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Inverse of ``model_dump(mode="json")``.

        Raises:
            CheckpointError: If it is the document of something else.
        """
        try:
            return cls.model_validate_json(json.dumps(document))
        except (ValidationError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"this is not the record of a student: {error}",
                hint="the file was written by another version, or edited by hand",
            ) from error


def write_student(
    potential: Potential, record: StudentRecord, path: Path, *, force: bool = False
) -> None:
    """Write a student with its record as a model that every command takes.

    Args:
        potential: The student.
        record: How it came to be.
        path: ``NAME.m3c.safetensors``.
        force: Replace existing files.

    Raises:
        OutputExistsError: If a file is in the way and ``force`` is not given.
        CheckpointError: If the name ends in something else, or the file does not read back.
    """
    origin = replace(
        potential.provenance,
        shortest=dict(record.domain.shortest),
        record={STUDENT: record.model_dump(mode="json")},
    )
    write_native(replace(potential, provenance=origin), path, force=force)


def record_of(potential: Potential) -> StudentRecord | None:
    """The record of a potential that is a student; None for any other.

    Raises:
        CheckpointError: If it has one that makes no sense.
    """
    held: Mapping[str, Any] = potential.provenance.record
    return StudentRecord.from_json(held[STUDENT]) if STUDENT in held else None
