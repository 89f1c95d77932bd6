"""``m3compress release`` and ``m3compress verify``: a bundle of a model that passed the gate."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from m3compress.api import export_model
from m3compress.commands.teacher import with_given_teacher
from m3compress.commands.validate import announce, finish, with_paths
from m3compress.console import print_json, print_row, stage_bar, stderr, stdout
from m3compress.contract.files import not_left_empty
from m3compress.errors import OutputExistsError
from m3compress.export.targets import target_named
from m3compress.validate.gate import validate
from m3compress.validate.release import Bundle, refuse_loosened, verify, write_bundle
from m3compress.validate.report.document import exit_code
from m3compress.validate.result import Verdict
from m3compress.validate.setup.settings import Settings


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
    name = Path(str(settings.model).rstrip("/")).name
    bundle = output or Path(f"{name}.m3c")
    if bundle.exists() and not force:
        raise OutputExistsError(f"{bundle} exists", hint="`--force` overwrites it")
    if not allow_overrides:
        # Before the hours that the run takes.
        refuse_loosened([name for name, limit in settings.read_limits().items() if limit.loosened])
    folder = report_dir or Path(f"{name}.report")
    settings = with_given_teacher(settings, teacher, folder)
    path = folder / f"{name}{target_named(target).load_writer().default_suffix()}"
    artefact = _export(settings, path, target, three_body, resume=resume)
    settings = with_paths(replace(settings, artefact=artefact))
    with stage_bar() as progress:
        report = validate(
            settings,
            folder,
            resume=resume,
            force=force,
            strict=strict,
            progress=progress,
            announce=announce,
        )
    finish(report, folder, strict=strict, as_json=as_json)
    if report.verdict is Verdict.PASS:
        released = write_bundle(
            artefact, folder, bundle, force=force, allow_overrides=allow_overrides
        )
        stderr().print(f"  released    {released.path}", markup=False)
        stderr().print(f"next: `m3compress verify {released.path}`", markup=False)
    else:
        stderr().print(f"  not released: the gate says {report.verdict}", markup=False)
    return exit_code(report.verdict, strict=strict)


def _export(settings: Settings, path: Path, target: str, three_body: str, *, resume: bool) -> Path:
    """The artefact of this release, in float32; a resumed one is that of the run before."""
    if resume and path.is_file():
        return path
    with not_left_empty(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        export_model(
            settings.model,
            path,
            target=target,
            three_body=three_body,
            convention=settings.convention,
            labels=settings.labels,
            force=True,
            report=partial(print_row, to=stderr()),
        )
    return path


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
    return 0


def _document(bundle: Bundle) -> dict[str, Any]:
    return {**asdict(bundle), "path": str(bundle.path), "loosened": list(bundle.loosened)}
