"""Commands of the release gate: ``validate``, ``release``, ``verify`` and ``report diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from m3compress.errors import M3CompressError
from m3compress.options import (
    MODEL_HELP,
    AsJson,
    ConventionName,
    DeviceName,
    Force,
    Labels,
    TargetName,
    ThreeBody,
    epilog,
    session,
)
from m3compress.validate.setup.profiles import CI, PROFILES, RELEASE, profile_named

EXIT_CODES = (
    "exit codes: 0 passed · 1 failed · 2 could not run · 3 inconclusive (1 with --strict) · "
    "130 interrupted"
)


Profile = Annotated[
    str,
    typer.Option(
        metavar="|".join(PROFILES),
        help="How much to measure: minutes, a quarter of an hour, or hours.",
        callback=lambda name: profile_named(name).name,
        autocompletion=lambda: list(PROFILES),
    ),
]
ReportDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the reports. Default: NAME.report."),
]
Structures = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Structures for molecular dynamics, in any format of ASE."),
]
Supercell = Annotated[
    bool, typer.Option("--supercell/--no-supercell", help="Repeat small cells, or refuse them.")
]
TeacherName = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="TEACHER",
        help="Whom MODEL, a student, copies: a model, an exported file, or ase:MODULE:NAME?ARGS. "
        "Then --convention is the teacher's.",
    ),
]
Limits = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="TOML file with limits that replace the built-in ones."),
]
Limit = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="ID=VALUE", help="Limit of one check. May be repeated."),
]
Temperature = Annotated[
    float | None,
    typer.Option(metavar="K", help="Temperature of molecular dynamics. Default: the profile's."),
]
Pressure = Annotated[
    float | None, typer.Option(metavar="GPA", help="Pressure of NPT runs. Default: the profile's.")
]
Timestep = Annotated[
    float | None,
    typer.Option(metavar="FS", help="Time step. Default: 2 fs, or 0.5 fs with hydrogen."),
]
Duration = Annotated[
    float | None,
    typer.Option(metavar="PS", help="Sampled time of each NVT run. Default: the profile's."),
]
Replicas = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=2,
        help="Independent runs of file and of model each. Default: the profile's.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random number.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes side by side. Default: one per core.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the interrupted run of the report folder.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Count an inconclusive result as a failed one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of the gate to the command line."""
    app.command(
        epilog=epilog(
            "m3compress validate silica.m3c.onnx --against builtin --profile smoke",
            "m3compress validate model.m3c.onnx --against model/ --labels dft.xyz --resume",
            "m3compress validate s.m3c.onnx --against s.m3c.safetensors --teacher model/",
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
    teacher: TeacherName = None,
    profile: Profile = CI.name,
    report_dir: ReportDir = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write junit.xml here, too.")
    ] = None,
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
    device: DeviceName = "cpu",
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
            if teacher is not None:
                raise M3CompressError(
                    "--selfcheck tests the gate without a teacher", hint="leave one of the two out"
                )
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
            teacher=teacher,
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
    target: TargetName = "onnx",
    three_body: ThreeBody = "auto",
    teacher: TeacherName = None,
    profile: Profile = RELEASE.name,
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
    device: DeviceName = "cpu",
    allow_overrides: Annotated[
        bool, typer.Option("--allow-overrides", help="Release in spite of loosened limits.")
    ] = False,
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
            teacher=teacher,
            target=target,
            three_body=three_body,
            output=output,
            report_dir=report_dir,
            allow_overrides=allow_overrides,
            resume=resume,
            force=force,
            strict=strict,
            as_json=as_json,
        )
        raise typer.Exit(code)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """What ``validate`` and ``release`` share, under the names of the settings."""
    files = ("structures", "supercell", "labels", "limits")
    runs = ("temperature", "pressure", "timestep", "duration", "seed", "device")
    return {
        **{name: given[name] for name in (*files, *runs, "convention", "profile")},
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
    before: Annotated[Path, typer.Argument(help="The earlier report.json.")],
    after: Annotated[Path, typer.Argument(help="The later report.json.")],
    as_json: AsJson = False,
) -> None:
    """Compare two reports; exit code 1 if a check got worse."""
    with session(context):
        from m3compress.commands.report import run_diff

        raise typer.Exit(run_diff(before=before, after=after, as_json=as_json))
