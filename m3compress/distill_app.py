"""The command ``distill``: names, options and help, and nothing that is slow to import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from m3compress.options import (
    MODEL_HELP,
    AsJson,
    ConventionName,
    Force,
    epilog,
    session,
)

_TEACHER_HELP = (
    f"{MODEL_HELP} Or an exported file, or an ASE calculator: ase:MODULE:NAME?ARGUMENTS."
)
_SUFFIX = ".m3c.safetensors"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(
        epilog=epilog(
            "m3compress distill model.pt --structures phases.xyz -o small.m3c.safetensors",
            "m3compress distill ase:chgnet.model.dynamics:CHGNetCalculator --structures a.cif",
            "m3compress distill builtin --structures quartz.cif --student fast --minutes 10",
            "m3compress distill builtin --structures quartz.cif --ladder --minutes 20",
        )
    )(distill)


def distill(
    context: typer.Context,
    *,
    teacher: Annotated[str, typer.Argument(help=_TEACHER_HELP)],
    structures: Annotated[
        Path, typer.Option(metavar="FILE", help="What will be simulated, in any format of ASE.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar=f"NAME{_SUFFIX}", help="Default: named after the structures."
        ),
    ] = None,
    student: Annotated[
        list[str] | None,
        typer.Option(
            metavar="fast|default|accurate|FILE",
            help="A preset, or a TOML file; several for --ladder.",
        ),
    ] = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Train several students on the same labels.")
    ] = False,
    temperatures: Annotated[
        tuple[float, float],
        typer.Option(metavar="K K", help="Lowest and highest temperature of the simulations."),
    ] = (300.0, 1200.0),
    minutes: Annotated[
        float,
        typer.Option(metavar="N", help="Time for all of it, or for each student of a ladder."),
    ] = 50.0,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Passes over the first frames, instead of what fits."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=0, help="Rounds of the student's own dynamics, at most.")
    ] = 3,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labels, checkpoints. Default: NAME.distill or .ladder."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --work.")] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="More frames to learn from; the teacher labels them. Their own energies and "
            "forces decide its convention where its file does not say it.",
        ),
    ] = None,
    convention: ConventionName = None,
    cutoff: Annotated[
        float,
        typer.Option(min=1.0, max=20.0, metavar="Å", help="Of a calculator, which does not tell."),
    ] = 5.0,
    matgl: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the student in the format of matgl 4.1, too."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads, and processes. Default: one per core.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random number.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train a small, fast model that copies a teacher on the structures of a file."""
    with session(context):
        from m3compress.commands.distill import run

        code = run(
            teacher=teacher,
            structures=structures,
            output=output or Path(structures.stem + _SUFFIX),
            students=student or [],
            ladder=ladder,
            temperatures=temperatures,
            minutes=minutes,
            epochs=epochs,
            rounds=rounds,
            work=work,
            resume=resume,
            labels=labels,
            convention=convention,
            cutoff=cutoff,
            matgl=matgl,
            threads=threads or os.cpu_count() or 1,
            seed=seed,
            force=force,
            as_json=as_json,
        )
        raise typer.Exit(code)
