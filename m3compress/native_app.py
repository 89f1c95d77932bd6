"""The command ``native build``."""

from __future__ import annotations

import typer

from m3compress.options import AsJson, epilog, session

_app = typer.Typer(
    help="Build the C++ core that runs native files.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@_app.callback()
def _root() -> None:
    """A group of one command, so that it keeps its name."""


@_app.command(epilog=epilog("m3compress native build", "CXX=clang++ m3compress native build"))
def build(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Compile libm3c with the C++ compiler of this machine."""
    with session(context):
        from m3compress.commands.native import run

        raise typer.Exit(run(as_json=as_json))


def register(app: typer.Typer) -> None:
    """Add the command to the others."""
    app.add_typer(_app, name="native")
