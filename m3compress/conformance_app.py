"""The command ``conformance``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from m3compress.engines.conformance.registry import CODES, code_named
from m3compress.options import AsJson, ConventionName, epilog, known, session


def register(app: typer.Typer) -> None:
    """Add the command to the others."""
    app.command(
        epilog=epilog(
            "m3compress conformance ase silica.m3c.onnx",
            "m3compress conformance onnxruntime silica.m3c.onnx --against builtin",
            "m3compress conformance native silica.m3c.safetensors --against silica.m3c.onnx",
        )
    )(conformance)


def conformance(
    context: typer.Context,
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            callback=known(code_named),
            help=f"Runtime or MD code: {', '.join(row.name for row in CODES)}.",
        ),
    ],
    model: Annotated[Path, typer.Argument(help="An exported file.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="What is right: a model, or another exported file. Default for MD codes: the "
            "file in its own runtime.",
        ),
    ] = None,
    convention: ConventionName = None,
    timestep: Annotated[
        float, typer.Option(min=0.01, max=10, metavar="FS", help="Of molecular dynamics.")
    ] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a runtime, or an MD code with an exported file in it, by the contract of engines."""
    with session(context):
        from m3compress.commands.conformance import run

        code = run(
            name=name,
            model=model,
            against=against,
            convention=convention,
            timestep=timestep,
            threads=threads,
            as_json=as_json,
        )
        raise typer.Exit(code)
