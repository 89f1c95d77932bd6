"""What the definitions of all commands share: help texts, option types, and the frame around each.

Imports nothing that is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from m3compress.console import configure_logging
from m3compress.contract.backends import DEVICES, device_named
from m3compress.contract.forms import FormError, method_help, parse_method
from m3compress.errors import UnknownNameError
from m3compress.export.targets import TARGETS, target_named

INTERRUPTED = 130
EXIT_CODES = "exit codes: 0 done · 1 ran and failed · 2 could not run · 130 interrupted"
MODEL_HELP = "A model file or folder, a Hugging Face name, or 'builtin' for the built-in silica."
_CONVENTION_HELP = (
    "Convention of the weights, where you know better than the evidence: "
    "tf, matgl-dgl, matgl-3, matgl-4.1 or mattersim."
)


def check_three_body(text: str) -> str:
    """Refuse a form that does not exist, before anything slow is imported."""
    try:
        parse_method(text)
    except FormError as error:
        raise typer.BadParameter(f"{error.message}; {error.hint}") from error
    return text


ThreeBody = Annotated[
    str, typer.Option(metavar="METHOD", callback=check_three_body, help=method_help())
]


def known(look_up: Callable[[str], object]) -> Callable[[str], str]:
    """Refuse a name that is in no table, before anything slow is imported."""

    def check(name: str) -> str:
        try:
            look_up(name)
        except UnknownNameError as error:
            raise typer.BadParameter(f"{error.message}; {error.hint}") from error
        return name

    return check


TargetName = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="|".join(target.name for target in TARGETS),
        callback=known(target_named),
        help="Format to write.",
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="|".join(DEVICES),
        callback=known(device_named),
        help="Where the exported file runs.",
    ),
]
ConventionName = Annotated[str | None, typer.Option(metavar="NAME", help=_CONVENTION_HELP)]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Frames with DFT energies and forces in eV and eV/Å, such as those of the training.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is in the way.")]


class Precision(StrEnum):
    """Arithmetic of the exported network."""

    FLOAT32 = "float32"
    MIXED = "mixed"


def epilog(*examples: str, codes: str = EXIT_CODES) -> str:
    """Examples, each on its own line (the backspace character says so), and exit codes."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"\b\nexamples:\n{lines}\n\n{codes}"


@contextmanager
def session(context: typer.Context) -> Iterator[None]:
    """What every command needs around it: the log on stderr, and 130 for an interrupt."""
    configure_logging(int(context.find_root().params.get("verbose", 0)))
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
