"""What the commands do, as functions: load a model, export it, and prove the export.

This is the only place where the rooms meet: models → distill → export → engines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from m3compress.errors import OutputExistsError

if TYPE_CHECKING:
    from m3compress.contract.manifest import Manifest
    from m3compress.contract.teacher import Teacher
    from m3compress.distill.ladder.report import Climbed
    from m3compress.distill.pipeline import Distillation
    from m3compress.distill.report import Distilled, Reporter
    from m3compress.distill.settings import DistillSettings
    from m3compress.distill.share import ThreeBodyShare
    from m3compress.distill.students import Student
    from m3compress.distill.teachers.examine import Candidate
    from m3compress.models.potential import Potential
    from m3compress.models.structures.frames import Named

#: Word that names the model that comes with the package.
BUILTIN: Final = "builtin"

Report = Callable[[str, str], None]


def _silent(stage: str, detail: str) -> None:
    del stage, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What :func:`export_model` made.

    Attributes:
        path: The exported file.
        manifest_path: The manifest beside it.
        manifest: Its content.
        share: What the three-body block of the source is worth.
        seconds: How long it took.
    """

    path: Path
    manifest_path: Path
    manifest: Manifest
    share: ThreeBodyShare
    seconds: float


def resolve_source(source: str | Path) -> str | Path:
    """The path that a model argument means; ``builtin`` is the model in the package."""
    if str(source) != BUILTIN:
        return source
    from importlib.resources import files

    return Path(str(files("m3compress.models.builtin")))


def load_potential(
    source: str | Path, *, convention: str | None = None, labels: Path | None = None
) -> Potential:
    """Read a trained model of any supported format in its convention.

    Args:
        source: A path, a Hugging Face name, or ``builtin``.
        convention: Overrides the convention where the file does not say it.
        labels: Frames with energies and forces, which decide the convention otherwise.

    Raises:
        M3CompressError: See :func:`m3compress.models.readers.open.read_model`.
    """
    from m3compress.models.readers.open import read_model

    return read_model(resolve_source(source), convention=convention, labels=labels)


def export_model(
    source: str | Path,
    output: Path | None = None,
    *,
    three_body: str = "auto",
    target: str = "onnx",
    precision: str = "float32",
    convention: str | None = None,
    labels: Path | None = None,
    max_atoms: int = 2_000,
    force: bool = False,
    report: Report = _silent,
) -> Exported:
    """Read, measure, compress, export, run and compare; only then put the file where it belongs.

    Args:
        source: A path, a Hugging Face name, or ``builtin``.
        output: The exported file; its manifest stands beside it.
        three_body: ``auto``, ``factorize``, ``remove``, ``keep`` or ``prune=P``.
        target: Name of a row of :mod:`m3compress.export.targets`, such as ``onnx``.
        precision: ``float32`` or ``mixed``.
        convention: Overrides the convention where the file does not say it.
        labels: Frames of the training with energies and forces: they decide the convention where
            the file does not say it, and how close atoms come is kept in the manifest.
        max_atoms: Largest system that a TensorRT engine accepts.
        force: Overwrite existing files.
        report: Called with (stage, detail) as the work goes on.

    Raises:
        ParityError: If the exported file disagrees with the model; nothing is left behind.
        M3CompressError: If a step cannot run.
    """
    from m3compress.contract.backends import manifest_path
    from m3compress.contract.forms import Choice, parse_method
    from m3compress.distill.methods import apply
    from m3compress.distill.share import three_body_share
    from m3compress.engines.evaluator import open_where_it_runs
    from m3compress.export.write import output_path, write_export
    from m3compress.models.domain import with_domain

    start = time.perf_counter()
    method = parse_method(three_body)
    path = output_path(source, output, target)
    beside = manifest_path(path)
    if not force:
        for existing in (path, beside):
            if existing.exists():
                raise OutputExistsError(f"{existing} exists", hint="`--force` overwrites it")
    potential = load_potential(source, convention=convention, labels=labels)
    if labels is not None:
        potential = with_domain(potential, labels)
    report("read", describe_potential(potential))
    share = three_body_share(potential)
    report("three-body", share.text)
    compressed = apply(potential, method, share)
    measured = method is Choice.AUTO
    reason = share.text if measured else f"asked for with --three-body {three_body}"
    report("method", f"{compressed.form} ({'measured' if measured else 'as asked'})")
    manifest = write_export(
        compressed,
        path,
        reason=reason,
        target=target,
        precision=precision,
        max_atoms=max_atoms,
        open_file=open_where_it_runs,
        report=report,
    )
    return Exported(
        path=path,
        manifest_path=beside,
        manifest=manifest,
        share=share,
        seconds=time.perf_counter() - start,
    )


def open_teacher(
    source: str | Path,
    structures: Sequence[Named],
    work: Path | None = None,
    *,
    convention: str | None = None,
    labels: Path | None = None,
    cutoff: float = 5.0,
    report: Report = _silent,
) -> Teacher:
    """Open what a student shall copy, and examine its answers on the structures that matter.

    Args:
        source: A model (path, Hugging Face name or ``builtin``), an exported file, or the import
            path of an ASE calculator, ``ase:MODULE:NAME?ARGUMENTS``.
        structures: The user's structures, periodic in all directions.
        work: Folder for the exported file of a model, which is faster than PyTorch; None to run
            models in PyTorch. A file that is there already is used again.
        convention: Of a model, where its file does not say it.
        labels: Frames that decide the convention otherwise.
        cutoff: What is taken for the cutoff of a calculator in Å.
        report: Told (stage, detail) as a model is exported.

    Raises:
        TeacherError: If it cannot be opened, gives no stress, or changes its answers.
        StructureError: If it does not know an element, or an answer is not finite.
        M3CompressError: If a file cannot be read or exported.
    """
    from m3compress.distill.teachers.find import Engines, find_teacher
    from m3compress.teaching import calculator_teacher, export_for_teaching, exported_teacher

    def run(potential: Potential, name: str) -> Candidate:
        del name
        return exported_teacher(export_for_teaching(potential, work or Path(), report))

    engines = Engines(
        exported=exported_teacher,
        calculator=calculator_teacher,
        model=None if work is None else run,
    )
    found = find_teacher(
        resolve_source(source),
        structures,
        engines,
        convention=convention,
        labels=labels,
        cutoff=cutoff,
    )
    return replace(found, name=BUILTIN) if str(source) == BUILTIN else found


def distill(
    teacher: str | Path,
    structures: Path,
    output: Path,
    settings: DistillSettings | None = None,
    *,
    work: Path | None = None,
    resume: bool = False,
    labels: Path | None = None,
    convention: str | None = None,
    cutoff: float = 5.0,
    matgl: Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> Distilled:
    """Train a small model that copies a teacher on the systems that a user simulates.

    Args:
        teacher: See :func:`open_teacher`.
        structures: File of any format of ASE with one or many phases.
        output: ``NAME.m3c.safetensors``.
        settings: Student, frames, rounds, time, threads and seed.
        work: Folder for labels, trajectories and checkpoints; ``NAME.distill`` by default.
        resume: Go on with what is in it.
        labels: Frames to learn from, too, labelled by the teacher. Where all have forces, they
            decide the convention of the teacher if its file does not say it.
        convention: Of a model, where its file does not say it.
        cutoff: What is taken for the cutoff of a calculator in Å.
        matgl: Folder that gets the student in the format of matgl 4.1, too.
        force: Replace an existing student.
        reporter: Who is told how far it is.

    Raises:
        StructureError: If structures cannot be read, or the teacher does not know their elements.
        TeacherError: If the teacher cannot be opened or believed.
        OutputExistsError: If a file is in the way and ``force`` is not given.
        M3CompressError: If the folder is another distillation's, or a step cannot run.
    """
    from m3compress.distill.settings import DistillSettings as Default
    from m3compress.models.readers.native import require_writable

    require_writable(output, force=force)
    chosen = settings or Default()
    chosen = chosen.for_students([chosen.student])
    folder = work or _work_folder(output)
    sources = _Sources(teacher, structures, labels, convention, cutoff)
    with _prepared(sources, chosen, chosen.to_json(), folder, reporter, resume=resume) as prepared:
        return replace(prepared, matgl=matgl).run(output, force=force)


def distill_ladder(
    teacher: str | Path,
    structures: Path,
    output: Path,
    students: Mapping[str, Student],
    settings: DistillSettings | None = None,
    *,
    work: Path | None = None,
    resume: bool = False,
    labels: Path | None = None,
    convention: str | None = None,
    cutoff: float = 5.0,
    matgl: Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> Climbed:
    """Train several students on the same labels, and compare errors, speed and memory.

    Args:
        teacher: See :func:`distill`; so all others that are not explained.
        structures: File with one or many phases.
        output: ``NAME.m3c.safetensors``, which gives ``NAME-STUDENT.m3c.safetensors`` for every
            student and ``NAME.ladder.html``.
        students: By name.
        settings: Those of :func:`distill`, but for the student; its time is that of each student.
        work: Folder for everything; ``NAME.ladder`` by default.
        resume: Go on with what is in it.
        labels: Frames to learn from, too.
        convention: Of a model, where its file does not say it.
        cutoff: Of a calculator in Å.
        matgl: Gets a folder for each student.
        force: Replace existing files.
        reporter: Who is told how far it is.

    Raises:
        M3CompressError: As :func:`distill`, or if there are no students.
    """
    from m3compress.distill.ladder.climb import Ladder, require_free
    from m3compress.distill.settings import DistillSettings as Default
    from m3compress.errors import M3CompressError

    if not students:
        raise M3CompressError("a ladder without students leads nowhere", hint="name some")
    require_free(output, students, force=force)
    chosen = (settings or Default()).for_students(students.values())
    dumped = {name: student.model_dump(mode="json") for name, student in students.items()}
    document = {**chosen.to_json(), "student": None, "students": dumped}
    folder = work or _work_folder(output, "ladder")
    sources = _Sources(teacher, structures, labels, convention, cutoff)
    with _prepared(sources, chosen, document, folder, reporter, resume=resume) as prepared:
        return Ladder(replace(prepared, matgl=matgl), students).run(output, force=force)


def _work_folder(output: Path, what: str = "distill") -> Path:
    return output.with_name(f"{output.name.partition('.m3c.')[0]}.{what}")


@dataclass(frozen=True, slots=True)
class _Sources:
    """What a distillation is made from; see :func:`distill`."""

    teacher: str | Path
    structures: Path
    labels: Path | None
    convention: str | None
    cutoff: float


@contextmanager
def _prepared(
    sources: _Sources,
    settings: DistillSettings,
    document: dict[str, Any],
    folder: Path,
    reporter: Reporter | None,
    *,
    resume: bool,
) -> Iterator[Distillation]:
    """A distillation in a folder that is claimed for it while the block runs.

    Args:
        sources: What it is made from.
        settings: How.
        document: What decides its result besides the sources, plain values.
        folder: Where it works.
        reporter: Who is told how far it is.
        resume: Go on with what is in the folder.
    """
    from m3compress.contract.files import document_sha256
    from m3compress.distill.pipeline import Distillation
    from m3compress.distill.report import Reporter as Unheard
    from m3compress.distill.work import working_in
    from m3compress.models.structures.frames import plain_values, read_frames, read_named
    from m3compress.models.structures.stored_labels import have_forces
    from m3compress.teaching import export_student

    phases = read_named(sources.structures)
    brought = [] if sources.labels is None else read_frames(sources.labels)
    how: dict[str, Any] = {"convention": sources.convention, "cutoff": sources.cutoff}
    whole = {
        "teacher": str(sources.teacher),
        **how,
        "structures": {entry.name: plain_values(entry.atoms) for entry in phases},
        "labels": document_sha256([plain_values(frame) for frame in brought]),
        **document,
    }
    labels = sources.labels if have_forces(brought) else None
    with working_in(folder, whole, resume=resume):
        yield Distillation(
            teacher=open_teacher(sources.teacher, phases, folder, labels=labels, **how),
            structures=phases,
            settings=settings,
            work=folder,
            export=export_student,
            brought=brought,
            reporter=reporter or Unheard(),
        )


def describe_potential(potential: Potential) -> str:
    """One line: format, convention, elements and sizes."""
    config = potential.config
    few = len(config.elements) <= 6
    elements = " ".join(config.elements) if few else f"{len(config.elements)} elements"
    return (
        f"{potential.provenance.format}, convention {config.convention.name}, {elements}, "
        f"cutoff {config.cutoff:g} Å, three-body {config.three_body_cutoff:g} Å, "
        f"{config.n_blocks} blocks"
    )
