"""The one way to a teacher: a model, an exported file, or the import path of a calculator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from m3compress.contract.backends import is_exported
from m3compress.contract.files import expanded
from m3compress.contract.forms import FACTORIZED, REMOVED
from m3compress.contract.teacher import (
    CALCULATOR_PREFIX,
    DEFAULT_CUTOFF,
    Teacher,
    cannot_open,
)
from m3compress.distill.share import three_body_share
from m3compress.distill.teachers.examine import Candidate, examine
from m3compress.models.potential import Potential, native_form
from m3compress.models.readers.open import read_model
from m3compress.models.readers.table import open_conventions
from m3compress.models.spec import ModelSpec
from m3compress.models.structures.frames import Named, require_known

#: Of a potential in its right form, and what the user called it.
RunsModel = Callable[[Potential, str], Candidate]
#: Of an exported file.
OpensExported = Callable[[Path], Candidate]
#: Of the import path of an ASE calculator, and what is taken for its cutoff in Å.
OpensCalculator = Callable[[str, float], Candidate]

_MISROUTED: Final = (
    "as trained: its triplets are misrouted and matter, so that its answers depend a little on the "
    "order of the atoms; those of the student will not"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """How others are run: this room knows no engine, so that who calls it hands these in.

    Attributes:
        exported: Makes a candidate of an exported file.
        calculator: Makes one of a calculator.
        model: Makes one of a model by exporting it, for speed; None to run models in PyTorch.
    """

    exported: OpensExported
    calculator: OpensCalculator
    model: RunsModel | None = None


def find_teacher(
    source: str | Path,
    structures: Sequence[Named],
    engines: Engines,
    *,
    convention: str | None = None,
    labels: Path | None = None,
    cutoff: float = DEFAULT_CUTOFF,
) -> Teacher:
    """Open a teacher and examine it on the structures that matter.

    Args:
        source: Path of a model or of an exported file, a Hugging Face name, or
            ``ase:MODULE:NAME?ARGUMENTS``.
        structures: What it will be asked about, or like it.
        engines: How exported files and calculators are run.
        convention: Of a model, where its file does not say it.
        labels: Frames that decide the convention otherwise.
        cutoff: What is taken for the cutoff of a calculator in Å.

    Raises:
        TeacherError: If it cannot be opened, gives no stress, or changes its answers.
        StructureError: If it does not know an element, or an answer is not finite.
        M3CompressError: If a file cannot be read or exported.
    """
    name = str(source)
    if name.startswith(CALCULATOR_PREFIX):
        candidate = engines.calculator(name, cutoff)
    elif is_exported(name):
        candidate = engines.exported(expanded(name))
    else:
        potential = right_form(read_model(source, convention=convention, labels=labels))
        for entry in structures:  # before it is exported, which takes a while
            require_known(entry.atoms, potential.elements, entry.name)
        known_as = expanded(name).name if expanded(name).exists() else name
        candidate = of_model(potential, known_as, engines.model)
    return examine(candidate, structures)


def right_form(potential: Potential) -> Potential:
    """A model in the form in which it is right, and fast.

    Right triplets are factorised, which is exact. Misrouted ones are removed, which repairs the
    permutation symmetry, unless the model needs them.

    Args:
        potential: In the convention it was trained with.
    """
    if potential.config.convention.triplet_index == "parent":
        return potential.with_form(FACTORIZED)
    if three_body_share(potential).harmless:
        return potential.with_form(REMOVED)
    return potential.with_form(native_form(potential.config.convention))


def of_model(potential: Potential, name: str, run: RunsModel | None) -> Candidate:
    """A model as a candidate, exported where that is possible, else in PyTorch in float32.

    Args:
        potential: In its right form.
        name: What the user called it.
        run: Exports it.

    Raises:
        TeacherError: If its file is no longer there.
        M3CompressError: If it cannot be exported.
    """
    facts = {
        "kind": "model",
        "convention": potential.config.convention.name,
        "three_body": str(potential.form),
        "source_sha256": potential.provenance.sha256,
    }
    if not potential.form.row.exportable:
        facts["remark"] = _MISROUTED
    elif run is not None:
        exported = run(potential, name)
        return Candidate(name=name, spec=exported.spec, precision=exported.precision, facts=facts)
    spec = ModelSpec(
        path=_path_of(potential, name),
        convention=_convention_asked(potential),
        form=potential.form.text,
        precision="float32",
    )
    return Candidate(name=name, spec=spec, precision="float32", facts=facts)


def _path_of(potential: Potential, name: str) -> str:
    """Where it is read again: absolute, since a worker may run elsewhere."""
    where = potential.provenance.path
    if not where:
        raise cannot_open(name, "it was read from no file", "save it first")
    return where.removeprefix("hf://") if where.startswith("hf://") else str(Path(where).resolve())


def _convention_asked(potential: Potential) -> str | None:
    """What settles the convention when the file is read again: what was found, if it had to be."""
    name = potential.config.convention.name
    return name if name in open_conventions(potential.provenance.format) else None
