"""What a run of the gate is told, and the gate that follows from it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from m3compress.contract.backends import Device, device_named
from m3compress.contract.files import content_sha256, expanded
from m3compress.contract.forms import TRIPLETS
from m3compress.engines.artefact import load_artefact
from m3compress.engines.open import require_runs_on
from m3compress.errors import ArtefactError, M3CompressError
from m3compress.models.readers.open import read_model
from m3compress.models.structures.frames import Named
from m3compress.models.structures.labels import read_labels
from m3compress.models.structures.samples import crystals_for, read_structures, samples_for, zoo_for
from m3compress.validate.result import Limit
from m3compress.validate.setup.context import Context, StandIn
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import LEAST_DURATION, Profile, profile_named
from m3compress.validate.setup.students import TeacherSource, with_teacher
from m3compress.validate.setup.subject import (
    ExportedSpec,
    Subject,
    TrainedSpec,
    exported,
    provenance_of,
    trained,
)

if TYPE_CHECKING:
    from m3compress.contract.manifest import Manifest


#: Fields of the profile that a user may change.
OPTIONS: Final = ("temperature", "pressure", "timestep", "duration", "n_replicas")


class SettingError(M3CompressError):
    """An option that makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides what a run measures. Paths may be text; ``~`` is the home folder.

    Attributes:
        artefact: The exported file; for a control, the file it stands in for.
        model: The trained model it came from.
        profile: Name of a profile.
        convention: Convention of the model, where its file leaves it open; None to find out.
        structures: File with structures for molecular dynamics; None for the built-in ones.
        supercell: Whether small cells are repeated; else they are refused.
        labels: File with frames and their DFT energies and forces; they help to find out.
        limits: File with other limits.
        limit: Single limits, ``id=value``.
        temperature: In K; None for that of the profile, and so on for the next ones.
        pressure: In GPa.
        timestep: In fs.
        duration: Sampled time of each replica in ps.
        n_replicas: Independent runs.
        seed: Seed of every random number.
        n_workers: Processes side by side; None for one per core.
        device: Where the exported file runs.
        control: A candidate in place of the exported file: the gate's test of itself.
        teacher: Whom the model copies, where it is a student to be compared with its teacher.
    """

    artefact: Path
    model: str
    profile: str = "ci"
    convention: str | None = None
    structures: Path | None = None
    supercell: bool = True
    labels: Path | None = None
    limits: Path | None = None
    limit: tuple[str, ...] = ()
    temperature: float | None = None
    pressure: float | None = None
    timestep: float | None = None
    duration: float | None = None
    n_replicas: int | None = None
    seed: int = 0
    n_workers: int | None = None
    device: Device = "cpu"
    control: StandIn | None = None
    teacher: TeacherSource | None = None

    def __post_init__(self) -> None:
        """Expand ``~`` before anything is read or hashed."""
        for name in ("artefact", "structures", "labels", "limits"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, expanded(path))
        if self.model.startswith("~"):
            object.__setattr__(self, "model", str(expanded(self.model)))

    def read_profile(self) -> Profile:
        """The profile with the options in it.

        Raises:
            M3CompressError: If there is no such profile, or an option is out of range.
        """
        profile = profile_named(self.profile)
        given = {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}
        for name, value in given.items():
            if not math.isfinite(value) or (name != "pressure" and value <= 0):
                raise SettingError(
                    f"{name} is {value}, expected a finite number above zero",
                    hint=f"leave --{name.removeprefix('n_')} out for the value of the profile",
                )
        if given.get("duration", LEAST_DURATION) < LEAST_DURATION:
            raise SettingError(
                f"duration is {given['duration']} ps, expected {LEAST_DURATION} or more",
                hint="so few frames have no spectrum; leave --duration out for that of the profile",
            )
        if given.get("n_replicas", 2) < 2:
            raise SettingError(
                "n_replicas is 1, expected 2 or more: one run does not tell how runs differ",
                hint="leave --replicas out for the number of the profile",
            )
        return replace(profile, **given)

    def read_limits(self) -> dict[str, Limit]:
        """The limits of this run.

        Raises:
            LimitError: For an unknown check or a bad value.
        """
        return read_limits(self.profile, self.limits, self.limit)

    def fingerprint(self) -> dict[str, object]:
        """What must be the same for a run to be resumed; files by their content."""
        document = asdict(replace(self, control=None, teacher=None))
        for name in ("n_workers", "limits", "limit"):
            del document[name]
        for name in ("artefact", "structures", "labels"):
            path = getattr(self, name)
            document[name] = None if path is None else content_sha256(path)
        document["model"] = content_sha256(Path(self.model))
        document["teacher"] = None if self.teacher is None else self.teacher.identity()
        if self.control is not None:
            candidate = self.control.candidate(trained(self.model, self.convention))
            document["control"] = {"name": self.control.name, **candidate.identity()}
        plain: dict[str, object] = json.loads(json.dumps(document, default=str))
        return plain


def open_context(settings: Settings, workplace: Path, trajectories: Path) -> Context:
    """Read and compare the files, choose structures, and put the gate together.

    Raises:
        M3CompressError: If a file cannot be read, or artefact and model do not belong together.
    """
    profile = settings.read_profile()
    manifest = load_artefact(settings.artefact).manifest
    reference = _reference(settings)
    context = Context(
        candidate=settings.control.candidate(reference)
        if settings.control
        else _runnable(settings),
        reference=reference,
        twin=None if settings.control else _twin_of(manifest, reference),
        profile=profile,
        zoo=(),
        crystals=(),
        samples=(),
        workplace=workplace,
        trajectories=trajectories,
        stand_in=settings.control,
        seed=settings.seed,
        n_workers=settings.n_workers or os.cpu_count() or 1,
    )
    model = context.reference_subject
    _require_same_source(manifest, model)
    context = replace(
        context,
        zoo=zoo_for(model.elements, model.cutoff, model.three_body_cutoff, profile.max_zoo_atoms),
        crystals=crystals_for(model.elements),
        samples=_samples(settings, profile, model),
        labels=() if settings.labels is None else read_labels(settings.labels, model),
    )
    if settings.teacher is None:
        return context
    return with_teacher(
        context,
        settings.teacher,
        structures=settings.structures,
        hot=settings.temperature is None,
        long=settings.duration is None,
    )


def _runnable(settings: Settings) -> ExportedSpec:
    """The exported file on the device on which it is to run.

    A GPU, or what drives it, may be missing: that is no finding about the file, and is known before
    anything is measured.

    Raises:
        ArtefactError: If the file is not one for this device.
        MissingDependencyError: If the device is missing, or what runs the file there.
    """
    device_named(settings.device)
    require_runs_on(load_artefact(settings.artefact), settings.device)
    spec = exported(settings.artefact, device=settings.device)
    if settings.device != "cpu":
        spec.open()
    return spec


def _samples(settings: Settings, profile: Profile, model: Subject) -> tuple[Named, ...]:
    if settings.structures is None:
        return samples_for(model.elements, profile.r_max, profile.n_samples)
    return read_structures(
        settings.structures, model.elements, 2 * profile.r_max, supercell=settings.supercell
    )


def _reference(settings: Settings) -> TrainedSpec:
    """The model in the convention that this command was given, or finds out.

    Nothing that the exported file says of itself may choose what it is compared with.

    Raises:
        M3CompressError: If the model cannot be read, or its convention is not given and not found.
    """
    potential = read_model(settings.model, convention=settings.convention, labels=settings.labels)
    found = trained(settings.model, potential.config.convention.name)
    return replace(found, evidence=potential.provenance.evidence)


def _twin_of(manifest: Manifest, reference: TrainedSpec) -> TrainedSpec:
    """The reference in the form that the artefact is judged against."""
    form = manifest.three_body.form.reference
    # Only a model that was trained with right triplets is judged against them.
    return replace(reference, form="native" if form == TRIPLETS else form.text, name="twin")


def _require_same_source(manifest: Manifest, model: Subject) -> None:
    """Refuse to compare what does not belong together.

    Raises:
        ArtefactError: If the artefact was made from another model.
    """
    hint = "give the model that the artefact was exported from: --against MODEL"
    if set(manifest.elements) != set(model.elements):
        raise ArtefactError(
            f"the artefact is for {' '.join(sorted(manifest.elements))}, "
            f"the reference for {' '.join(sorted(model.elements))}",
            hint=hint,
        )
    provenance = provenance_of(model)
    if provenance is not None and provenance.sha256 != manifest.source.sha256:
        raise ArtefactError(
            f"the artefact was made from {manifest.source.name} "
            f"(sha256 {manifest.source.sha256[:12]}…), the reference {provenance.path} is "
            f"{provenance.sha256[:12]}…",
            hint=hint,
        )
