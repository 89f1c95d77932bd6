"""Commands of the release gate: ``validate``, ``release``, ``verify`` and ``report diff``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from m3compress.options import (
    MODEL_HELP,
    AsJson,
    ConventionName,
    Force,
    Precision,
    epilog,
    session,
)

EXIT_CODES = (
    "exit codes: 0 passed · 1 failed · 2 could not run · 3 inconclusive (1 with --strict) · "
    "130 interrupted"
)


class ProfileName(StrEnum):
    """How much the gate measures."""

    SMOKE = "smoke"
    CI = "ci"
    RELEASE = "release"


Profile = Annotated[
    ProfileName,
    typer.Option(help="How much to measure: minutes, a quarter of an hour, or hours."),
]
ReportDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the reports. Default: NAME.report."),
]
Structures = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Run molecular dynamics on these (any format of ASE)."),
]
Supercell = Annotated[
    bool, typer.Option("--supercell/--no-supercell", help="Repeat small cells, or refuse them.")
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Frames with DFT energies and forces in eV and Å."),
]
Limits = Annotated[Path | None, typer.Option(metavar="FILE", help="Other limits (TOML).")]
Limit = Annotated[
    list[str] | None, typer.Option("--limit", metavar="ID=VALUE", help="One other limit.")
]
Temperature = Annotated[float | None, typer.Option(metavar="K", help="Temperature.")]
Pressure = Annotated[float | None, typer.Option(metavar="GPA", help="Pressure of NPT.")]
Timestep = Annotated[float | None, typer.Option(metavar="FS", help="Time step.")]
Duration = Annotated[float | None, typer.Option(metavar="PS", help="Sampled time of a replica.")]
Replicas = Annotated[int | None, typer.Option(metavar="N", help="Independent runs of each side.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one per core.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
Strict = Annotated[bool, typer.Option("--strict", help="Count inconclusive as failed.")]


def register(app: typer.Typer) -> None:
    """Add the commands of the gate to the command line."""
    app.command(
        epilog=epilog(
            "m3compress validate silica.m3c.onnx --against builtin --profile smoke",
            "m3compress validate model.m3c.onnx --against model/ --labels dft.xyz --resume",
            codes=EXIT_CODES,
        )
    )(validate)
    app.command(
        epilog=epilog(
            "m3compress release builtin --profile smoke -o silica.m3c",
            "m3compress release model/ --profile release -o model.zip",
            codes=EXIT_CODES,
        )
    )(release)
    app.command(epilog=epilog("m3compress verify silica.m3c", codes=EXIT_CODES))(verify)
    report = typer.Typer(no_args_is_help=True, help="Work with reports of the gate.")
    report.command(epilog=epilog("m3compress report diff old/report.json new/report.json"))(diff)
    app.add_typer(report, name="report")


def validate(
    context: typer.Context,
    *,
    artefact: Annotated[Path, typer.Argument(help="An exported file.")],
    against: Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)],
    profile: Profile = ProfileName.CI,
    report_dir: ReportDir = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Another junit.xml.")] = None,
    structures: Structures = None,
    supercell: Supercell = True,
    labels: Labels = None,
    limits: Limits = None,
    limit: Limit = None,
    temperature: Temperature = None,
    pressure: Pressure = None,
    timestep: Timestep = None,
    duration: Duration = None,
    replicas: Replicas = None,
    seed: Seed = 0,
    workers: Workers = None,
    convention: ConventionName = None,
    selfcheck: Annotated[
        bool, typer.Option("--selfcheck", help="Test the gate itself with known controls instead.")
    ] = False,
    resume: Resume = False,
    force: Force = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Run an exported file against its model, and say whether it may be released."""
    options = _options(locals())
    with session(context):
        from m3compress.validate.setup.settings import Settings

        settings = Settings(artefact=artefact, model=against, **options)
        if selfcheck:
            from m3compress.commands.selfcheck import run as run_selfcheck

            code = run_selfcheck(
                settings=settings,
                report_dir=report_dir,
                resume=resume,
                force=force,
                as_json=as_json,
            )
            raise typer.Exit(code)
        from m3compress.commands.validate import run

        code = run(
            settings=settings,
            report_dir=report_dir,
            junit=junit,
            resume=resume,
            force=force,
            strict=strict,
            as_json=as_json,
        )
        raise typer.Exit(code)


def release(
    context: typer.Context,
    *,
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Folder or .zip. Default: NAME.m3c."),
    ] = None,
    three_body: Annotated[
        str, typer.Option(metavar="METHOD", help="As for export: auto, factorize, remove or keep.")
    ] = "auto",
    precision: Annotated[Precision, typer.Option(help="As for export.")] = Precision.FLOAT32,
    profile: Profile = ProfileName.RELEASE,
    report_dir: ReportDir = None,
    structures: Structures = None,
    supercell: Supercell = True,
    labels: Labels = None,
    limits: Limits = None,
    limit: Limit = None,
    temperature: Temperature = None,
    pressure: Pressure = None,
    timestep: Timestep = None,
    duration: Duration = None,
    replicas: Replicas = None,
    seed: Seed = 0,
    workers: Workers = None,
    convention: ConventionName = None,
    resume: Resume = False,
    force: Force = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Export a model, validate the file, and bundle it only if it passed."""
    options = _options(locals())
    with session(context):
        from m3compress.commands.release import run_release
        from m3compress.validate.setup.settings import Settings

        code = run_release(
            settings=Settings(artefact=Path(), model=model, **options),
            three_body=three_body,
            precision=precision.value,
            output=output,
            report_dir=report_dir,
            resume=resume,
            force=force,
            strict=strict,
            as_json=as_json,
        )
        raise typer.Exit(code)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """What ``validate`` and ``release`` share, under the names of the settings."""
    same = ("structures", "supercell", "labels", "limits", "temperature", "pressure", "timestep")
    return {
        **{name: given[name] for name in (*same, "duration", "seed", "convention")},
        "profile": given["profile"].value,
        "limit": tuple(given["limit"] or ()),
        "n_replicas": given["replicas"],
        "n_workers": given["workers"],
    }


def verify(
    context: typer.Context,
    *,
    bundle: Annotated[Path, typer.Argument(help="A folder or zip that `release` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Check that a released model is whole and that it passed."""
    with session(context):
        from m3compress.commands.release import run_verify

        raise typer.Exit(run_verify(bundle=bundle, as_json=as_json))


def diff(
    context: typer.Context,
    *,
    before: Annotated[Path, typer.Argument(help="A report.json.")],
    after: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Compare two reports; exit code 1 if a check got worse."""
    with session(context):
        from m3compress.commands.report import run_diff

        raise typer.Exit(run_diff(before=before, after=after, as_json=as_json))
