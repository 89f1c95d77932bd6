"""Students: small M3GNets that copy a teacher; presets, and a TOML file for everything else.

The default is the measured recipe: two blocks (one is much worse), gated MLPs of one layer (as good
as two, and faster), a cutoff of 0.8 of the teacher's (half the edges, no loss) where that holds
enough neighbours, and a three-body block that sees as far as the edges do.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from ase import Atoms
from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from m3compress.contract.files import expanded
from m3compress.contract.forms import FACTORIZED, REMOVED, ThreeBodyForm
from m3compress.distill.training.recipe import Recipe
from m3compress.errors import M3CompressError, StructureError, UnknownNameError
from m3compress.models.config import Basis, M3GNetConfig, convention

#: Of the teacher's cutoff: in oxides nothing is lost by it.
_CUTOFF_RATIO: Final = 0.8
#: In a sphere of the cutoff. Silver iodide has 8 at 4 Å and 16 at 5 Å, where forces are a seventh
#: as wrong; rutile has 26 at 4 Å, quartz 21.
_NEIGHBOURS: Final = 20

_Width = Annotated[int, Field(ge=1, le=1024)]
_Angstrom = Annotated[float, Field(gt=0, le=20)]


class Student(BaseModel):
    """What a student is, before it is trained: everything but its elements has a default.

    Attributes:
        elements: Chemical symbols; those of the structures if it is not given.
        blocks: Message-passing blocks.
        width: Features per atom and per edge; multiples of 16 are fastest.
        hidden: Hidden widths of the gated MLPs of a block; none for a single layer.
        readout_hidden: The same of the readout; ``(width, width)`` if it is not given.
        cutoff: Of the edges in Å; by ``cutoff_ratio`` if it is not given.
        cutoff_ratio: Of the teacher's; if it is not given either, 0.8, or more where the structures
            are so thin that atoms would see fewer than 20 neighbours, but never more than 1.
        three_body_cutoff: In Å; the cutoff if it is not given.
        max_n: Radial functions per angular momentum.
        max_l: Angular momenta 0 … max_l − 1.
        edge_basis: Radial basis of the edges.
        triplet_basis: Radial basis inside the three-body block.
        form: ``factorized``, or ``removed`` for one that knows pairs alone.
        training: How it is trained, but for how long.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    elements: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    blocks: Annotated[int, Field(ge=1, le=8)] = 2
    width: _Width = 32
    hidden: tuple[_Width, ...] = ()
    readout_hidden: tuple[_Width, ...] | None = None
    cutoff: _Angstrom | None = None
    cutoff_ratio: Annotated[float, Field(gt=0, le=2)] | None = None
    three_body_cutoff: _Angstrom | None = None
    max_n: Annotated[int, Field(ge=1, le=16)] = 3
    max_l: Annotated[int, Field(ge=1, le=6)] = 3
    edge_basis: Basis = "smooth"
    triplet_basis: Basis = "smooth"
    form: Literal["factorized", "removed"] = "factorized"
    training: Recipe = Recipe()

    @property
    def three_body(self) -> ThreeBodyForm:
        """How its three-body block is evaluated."""
        return FACTORIZED if self.form == "factorized" else REMOVED

    def config(
        self, elements: Sequence[str], teacher_cutoff: float, structures: Sequence[Atoms] = ()
    ) -> M3GNetConfig:
        """The network for some structures and a teacher.

        Args:
            elements: Chemical symbols of the structures.
            teacher_cutoff: Of the teacher in Å.
            structures: What the student is for, whose neighbours decide about its cutoff.

        Raises:
            StructureError: If it is to know other elements than those of the structures.
            CheckpointError: If its cutoffs contradict each other.
        """
        present = tuple(sorted(set(elements)))
        known = present if self.elements is None else self.elements
        absent = [symbol for symbol in present if symbol not in known]
        if absent:
            raise StructureError(
                f"the structures contain {', '.join(absent)}, and the student is to know "
                f"{', '.join(known)} alone",
                hint="add them to its elements, or leave elements out of its file",
            )
        cutoff = self.cutoff or (
            cutoff_for(structures, teacher_cutoff)
            if self.cutoff_ratio is None
            else round(self.cutoff_ratio * teacher_cutoff, 3)
        )
        return M3GNetConfig(
            elements=known,
            cutoff=cutoff,
            three_body_cutoff=self.three_body_cutoff or cutoff,
            max_n=self.max_n,
            max_l=self.max_l,
            n_blocks=self.blocks,
            node_width=self.width,
            edge_width=self.width,
            hidden=self.hidden,
            readout_hidden=self.readout_hidden or (self.width, self.width),
            edge_basis=self.edge_basis,
            triplet_basis=self.triplet_basis,
            edge_bias=True,
            message_activation="identity",
            convention=convention("matgl-4.1"),
        )


def cutoff_for(structures: Sequence[Atoms], teacher_cutoff: float) -> float:
    """The shortest cutoff that has been good enough, in Å.

    Args:
        structures: Periodic ones; at the density of each, a sphere of it holds enough atoms.
        teacher_cutoff: In Å, which is not exceeded.
    """
    volumes = [float(atoms.get_volume()) / len(atoms) for atoms in structures]
    thinnest = math.cbrt(3 * _NEIGHBOURS * max(volumes, default=0.0) / (4 * math.pi))
    return min(max(round(_CUTOFF_RATIO * teacher_cutoff, 3), round(thinnest, 1)), teacher_cutoff)


#: Students by name, from the smallest to the largest.
PRESETS: Final[Mapping[str, Student]] = {
    "fast": Student(width=16),
    "default": Student(),
    "accurate": Student(width=64),
}
_PRESET: Final = "preset"


def find_student(source: str | Path) -> Student:
    """A preset by its name, or the student of a TOML file.

    Args:
        source: ``fast``, ``default``, ``accurate``, or the path of a file.

    Raises:
        UnknownNameError: If it is neither a preset nor a file that exists.
        M3CompressError: If the file cannot be read, or a key of it is unknown or has a wrong value.
    """
    name = str(source)
    if name in PRESETS:
        return PRESETS[name]
    path = expanded(source)
    if not path.is_file():
        raise UnknownNameError("student", name, (*PRESETS, "the path of a TOML file"))
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise M3CompressError(
            f"{path} is not a TOML file that can be read: {error}", hint="such as `width = 32`"
        ) from error
    return parse_student(document, str(path))


def parse_student(document: Mapping[str, Any], where: str) -> Student:
    """The student of a document: ``preset`` names what it starts from, every other key changes it.

    Args:
        document: Plain values.
        where: What to call it in messages.

    Raises:
        M3CompressError: If a key is unknown or has a wrong value; all of them are named.
    """
    changes = dict(document)
    start = changes.pop(_PRESET, "default")
    if start not in PRESETS:
        raise M3CompressError(
            f"{where}: {_PRESET} is {start!r}", hint=f"choose from {', '.join(PRESETS)}"
        )
    values = {**PRESETS[start].model_dump(mode="json", exclude_defaults=True), **changes}
    try:
        # Through JSON, where an array is a tuple; dates and times are no numbers there either.
        student = Student.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}, got {one['input']!r}"
            for one in error.errors()
        )
        raise M3CompressError(
            f"{where}: {wrong}", hint=f"keys are {_PRESET}, {', '.join(Student.model_fields)}"
        ) from error
    unknown = [symbol for symbol in student.elements or () if symbol not in atomic_numbers]
    if unknown or len(set(student.elements or ())) != len(student.elements or ()):
        raise M3CompressError(
            f"{where}: elements is {list(student.elements or ())}",
            hint="expected chemical symbols, each once",
        )
    return student
