"""``m3compress release`` and ``m3compress verify``: a bundle of a model that passed the gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from m3compress.api import export_model, load_potential
from m3compress.commands.teacher import with_given_teacher
from m3compress.commands.validate import announce, finish, with_paths
from m3compress.console import print_json, print_row, stage_bar, stderr, stdout
from m3compress.contract.backends import artefact_suffixes, manifest_path
from m3compress.contract.files import not_left_empty
from m3compress.contract.forms import ThreeBodyForm, parse_method
from m3compress.contract.manifest import Manifest
from m3compress.distill.methods import apply
from m3compress.engines.artefact import load_artefact
from m3compress.errors import M3CompressError, OutputExistsError
from m3compress.export.targets import target_named
from m3compress.export.write import model_name
from m3compress.validate.gate import holds_run, require_ours, validate, workplace_in
from m3compress.validate.release import (
    SUMS,
    Bundle,
    refuse_loosened,
    require_replaceable,
    verify,
    write_bundle,
)
from m3compress.validate.report.document import exit_code
from m3compress.validate.report.write import require_writable
from m3compress.validate.result import Verdict
from m3compress.validate.run import only_run
from m3compress.validate.setup.settings import Settings

#: What a release is exported in.
_PRECISION = "float32"
_OTHER_OPTIONS = (
    "repeat the options of that run, or give another --report-dir, or start again with --force and "
    "without --resume"
)


def run_release(
    *,
    settings: Settings,
    teacher: str | None = None,
    target: str = "onnx",
    three_body: str,
    output: Path | None,
    report_dir: Path | None,
    allow_overrides: bool,
    resume: bool,
    force: bool,
    strict: bool,
    as_json: bool,
) -> int:
    """Export, validate, and only if everything passed, write the bundle; returns the exit code."""
    name = model_name(settings.model)
    bundle = output or Path(f"{name}.m3c")
    folder = report_dir or Path(f"{name}.report")
    _require_places(bundle, folder, force=force)
    if not allow_overrides:
        # Before the hours that the run takes.
        refuse_loosened([name for name, limit in settings.read_limits().items() if limit.loosened])
    settings = with_given_teacher(settings, teacher, folder)
    path = folder / f"{name}{target_named(target).load_writer().default_suffix()}"
    if resume:
        _require_same(settings, path, three_body)
    else:
        _export(settings, path, target, three_body, force=force)
    settings = with_paths(replace(settings, artefact=path))
    with stage_bar() as progress:
        report = validate(
            settings,
            folder,
            # Interrupted between the two, it goes on with the file and begins the run.
            resume=resume and holds_run(folder),
            force=force,
            strict=strict,
            progress=progress,
            announce=announce,
        )
    finish(report, folder, strict=strict, as_json=as_json)
    if report.verdict is Verdict.PASS:
        write_bundle(path, folder, bundle, force=force, allow_overrides=allow_overrides)
    _say_whether_released(report.verdict, bundle)
    return exit_code(report.verdict, strict=strict)


def _require_places(bundle: Path, reports: Path, *, force: bool) -> None:
    """Refuse a bundle that could not be put in its place once there is something to release."""
    require_replaceable(bundle, force=force)
    if bundle.resolve() in (reports.resolve(), *reports.resolve().parents):
        raise M3CompressError(
            f"the reports would go to {reports}, which is in the bundle {bundle}; expected two "
            "folders",
            hint="give another -o or another --report-dir",
        )


def _say_whether_released(verdict: Verdict, bundle: Path) -> None:
    if verdict is Verdict.PASS:
        stderr().print(f"  released    {bundle}", markup=False)
        stderr().print(f"next: `m3compress verify {bundle}`", markup=False)
    else:
        stderr().print(f"  not released: the gate says {verdict}", markup=False)


def _export(settings: Settings, path: Path, target: str, three_body: str, *, force: bool) -> None:
    """Export the artefact of a release that begins.

    Raises:
        OutputExistsError: If there is an earlier run or its file, and ``force`` is not given.
        M3CompressError: If the folder cannot be used, or the model cannot be exported.
    """
    folder = path.parent
    require_ours(workplace_in(folder))
    if not force:
        _require_none_before(path)
    known = folder.is_dir()
    with not_left_empty(folder):
        require_writable(folder)
        # A run that is at work there measures the file that this would replace.
        with only_run(folder) if known else nullcontext():
            export_model(
                settings.model,
                path,
                target=target,
                three_body=three_body,
                precision=_PRECISION,
                convention=settings.convention,
                labels=settings.labels,
                force=True,
                report=partial(print_row, to=stderr()),
            )


def _require_none_before(path: Path) -> None:
    """Refuse a folder with an earlier run before its file is replaced: it could not be resumed."""
    if holds_run(path.parent):
        raise OutputExistsError(
            f"{path.parent} holds an earlier run",
            hint="--resume goes on with it, --force starts again; or give another --report-dir",
        )
    for existing in (path, manifest_path(path)):
        if existing.exists():
            raise OutputExistsError(
                f"{existing} exists",
                hint="--resume takes it as the file to release, --force exports it again",
            )


def _require_same(settings: Settings, path: Path, three_body: str) -> None:
    """Refuse to go on with a file that these options would not export.

    What else decides the values of a run is compared by the gate; of the export, it sees the file
    alone.

    Raises:
        M3CompressError: If there is none, or it is another one.
    """
    folder = path.parent
    if not path.is_file():
        others = [file.name for file in folder.glob("*") if file.name.endswith(artefact_suffixes())]
        if not others:
            raise M3CompressError(
                f"there is no run to resume in {folder}",
                hint="leave --resume out, or give the --report-dir of the run",
            )
        raise M3CompressError(
            f"the earlier run in {folder} exported {min(others)}, you ask for {path.name}",
            hint=_OTHER_OPTIONS,
        )
    for what, exported, asked in _both(load_artefact(path).manifest, settings, three_body):
        if exported != asked:
            raise M3CompressError(
                f"the earlier run in {folder} exported {what} {exported}, you ask for {asked}",
                hint=_OTHER_OPTIONS,
            )


def _both(earlier: Manifest, settings: Settings, three_body: str) -> Iterator[tuple[str, str, str]]:
    """What a file was exported with and what is asked for; what takes the model comes last."""
    convention = earlier.source.convention
    yield "with the convention", convention, settings.convention or convention
    yield "in the precision", earlier.precision, _PRECISION
    form = _form(settings, three_body)
    yield "the three-body form", str(earlier.three_body.form), str(form)


def _form(settings: Settings, three_body: str) -> ThreeBodyForm:
    """The form that a ``--three-body`` means for this model; ``auto`` is measured again."""
    method = parse_method(three_body)
    if isinstance(method, ThreeBodyForm):
        return method
    potential = load_potential(
        settings.model, convention=settings.convention, labels=settings.labels
    )
    return apply(potential, method).form


def run_verify(*, bundle: Path, as_json: bool) -> int:
    """Verify a bundle and print what it is; returns the exit code."""
    verified = verify(bundle)
    if as_json:
        print_json(_document(verified))
        return 0
    out = stdout()
    out.print(
        f"{verified.path}: {verified.artefact} passed the gate (profile {verified.profile})",
        markup=False,
    )
    print_row("scope", verified.scope, to=out)
    for one in verified.overrides:
        print_row("changed", str(one), to=out)
    print_row("artefact", f"sha256 {verified.artefact_sha256}", to=out)
    print_row("report", f"sha256 {verified.report_sha256}", to=out)
    if verified.unchecked:
        print_row("unchecked", _unchecked(verified), to=out)
    return 0


def _unchecked(bundle: Bundle) -> str:
    """Files that verify knows nothing of, and why."""
    names = ", ".join(bundle.unchecked)
    why = f" (no {SUMS}: an earlier version wrote the bundle, or it was taken away)"
    return names if bundle.has_sums else names + why


def _document(bundle: Bundle) -> dict[str, Any]:
    return {**asdict(bundle), "path": str(bundle.path), "loosened": list(bundle.loosened)}
