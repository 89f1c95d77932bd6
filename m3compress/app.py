"""The command line: names, options and help of every command, and nothing that is slow to import.

Each command imports its implementation in its body (``m3compress.commands``), so that ``--help``
answers at once and needs neither numpy nor torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from m3compress import __version__
from m3compress.conformance_app import register as register_conformance
from m3compress.distill_app import register as register_distill
from m3compress.gate_app import register
from m3compress.lammps_app import register as register_lammps
from m3compress.native_app import register as register_native
from m3compress.options import (
    MODEL_HELP,
    AsJson,
    ConventionName,
    DeviceName,
    Force,
    Labels,
    Precision,
    TargetName,
    ThreeBody,
    epilog,
    session,
)

_DEFAULT_SIZES = "200,600,2000"


app = typer.Typer(
    name="m3compress",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: fast, and the same in a file as on a terminal
    pretty_exceptions_enable=False,  # m3compress.__main__ reports errors
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(
        "m3compress inspect model.pt",
        "m3compress export builtin -o silica.m3c.onnx",
        "m3compress bench silica.m3c.onnx --against builtin",
    ),
)


def _show_version(value: bool) -> None:  # noqa: FBT001 (the signature is typer's)
    if value:
        typer.echo(f"m3compress {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, show_default=False, help="Log to stderr; -vv for more."
        ),
    ] = 0,
) -> None:
    """Make a trained M3GNet potential small and fast, and prove that it still tells the truth."""


@app.command(epilog=epilog("m3compress inspect model.pt", "m3compress inspect builtin --json"))
def inspect(
    context: typer.Context,
    *,
    file: Annotated[str, typer.Argument(help=f"{MODEL_HELP} Or an exported file.")],
    convention: ConventionName = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Say what a file is, and what to do with its three-body block."""
    with session(context):
        from m3compress.commands.inspect import run

        raise typer.Exit(run(file=file, convention=convention, labels=labels, as_json=as_json))


@app.command(
    epilog=epilog(
        "m3compress export builtin -o silica.m3c.onnx",
        "m3compress export model.pt --three-body factorize",
        "m3compress export model.pt --to tensorrt --force",
    )
)
def export(
    context: typer.Context,
    *,
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    three_body: ThreeBody = "auto",
    target: TargetName = "onnx",
    precision: Annotated[
        Precision,
        typer.Option(
            help="float32, or mixed for matrix products in half precision, which no gate passes."
        ),
    ] = Precision.FLOAT32,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Default: named after the model."),
    ] = None,
    convention: ConventionName = None,
    labels: Labels = None,
    max_atoms: Annotated[
        int, typer.Option(min=1, metavar="N", help="Largest system that a TensorRT engine accepts.")
    ] = 2000,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a model as ONNX, TensorRT or for the native core, and compare the file with it."""
    with session(context):
        from m3compress.commands.export import run

        code = run(
            model=model,
            three_body=three_body,
            target=target,
            precision=precision.value,
            output=output,
            convention=convention,
            labels=labels,
            max_atoms=max_atoms,
            force=force,
            as_json=as_json,
        )
        raise typer.Exit(code)


@app.command(
    epilog=epilog(
        "m3compress bench silica.m3c.onnx",
        "m3compress bench silica.m3c.onnx --against builtin --sizes 96,768 --threads 1",
    )
)
def bench(
    context: typer.Context,
    *,
    artefact: Annotated[Path, typer.Argument(help="An exported file.")],
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Time this model beside it.")
    ] = None,
    sizes: Annotated[
        str, typer.Option(metavar="N,N,…", help="Numbers of atoms, about.")
    ] = _DEFAULT_SIZES,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions; their median counts.")] = 3,
    device: DeviceName = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. Default: all of them.")
    ] = None,
    convention: ConventionName = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Time an exported file, and the model it came from."""
    numbers = _parse_sizes(sizes)
    with session(context):
        from m3compress.commands.bench import run

        code = run(
            artefact=artefact,
            against=against,
            sizes=numbers,
            rounds=rounds,
            device=device,
            threads=threads,
            convention=convention,
            labels=labels,
            as_json=as_json,
        )
        raise typer.Exit(code)


@app.command(epilog=epilog("m3compress doctor", "m3compress doctor --json"))
def doctor(
    context: typer.Context,
    *,
    as_json: AsJson = False,
) -> None:
    """Show versions, providers and GPUs, and what is missing."""
    with session(context):
        from m3compress.commands.doctor import run

        raise typer.Exit(run(as_json=as_json))


register_distill(app)
register(app)
register_native(app)
register_lammps(app)
register_conformance(app)


def _parse_sizes(text: str) -> tuple[int, ...]:
    """Numbers of atoms from ``200,600,2000``."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter(
            f"{text!r} is not a list of positive whole numbers such as {_DEFAULT_SIZES}",
            param_hint="--sizes",
        )
    return tuple(int(part) for part in parts)
