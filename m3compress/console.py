"""What the commands write: results to stdout; progress, log and errors to stderr.

rich is imported when something is written, so that ``m3compress --help`` does not wait for it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

LOGGER_NAME = "m3compress"

#: Columns of a file or a log, which have no width of their own.
WIDE = 160
_NAME = 11  # columns of the names in print_row
#: Columns that a text needs to be read with ease beside others.
_TEXT = 30

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@cache
def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@cache
def stderr() -> Console:
    """The console for everything that is not the result."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def wide() -> Console:
    """The console for tables on stdout: as wide as its terminal, and wide where there is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def print_fitted(table: Table, paragraphs: Iterable[tuple[str, str]], *, to: Console) -> None:
    """Write a table, or where that would break names, a paragraph for each of its rows.

    Args:
        table: Columns that are not to be broken have ``no_wrap``; the others hold text.
        paragraphs: Of each row, its name and what the others say, in words.
        to: Where to.
    """
    from rich.table import Table
    from rich.text import Text

    gaps = len(table.columns) - 1
    if sum(map(_least_width, table.columns)) + gaps > to.width:
        grid = Table.grid(padding=(0, 2))
        grid.title = table.title
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, told in paragraphs:
            grid.add_row(Text(name), Text(told))
        table = grid
    to.print(table)


def _least_width(column: Column) -> int:
    from rich.cells import cell_len

    lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
    widest = max(map(cell_len, lines), default=0)
    return widest if column.no_wrap else min(widest, _TEXT)


def print_row(name: str, value: str, *, to: Console) -> None:
    """Write a name and what it is in one line; on a terminal, lines end between words.

    Args:
        name: A word or two.
        value: Text of any length.
        to: Where to.
    """
    line = f"  {name:<{_NAME}}{value}"
    if to.is_terminal:
        line = textwrap.fill(
            line,
            to.width,
            subsequent_indent=" " * (_NAME + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    to.print(line, markup=False)


def print_json(document: Any) -> None:
    """Write one JSON document to stdout, and nothing else.

    Raises:
        ValueError: If a number is not finite; JSON has no word for it.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")


def print_error(message: str, hint: str | None = None) -> None:
    """Write ``error: …`` and, after a blank line, ``hint: …`` to stderr."""
    # No rich here: the text may hold brackets, and errors must come out whatever else is broken.
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"\nhint: {hint}\n")


def configure_logging(verbosity: int) -> None:
    """Send the log of this package (never that of the root) to stderr.

    Args:
        verbosity: 0 for warnings, 1 for information, 2 and more for debugging.
    """
    from rich.logging import RichHandler

    logger = logging.getLogger(LOGGER_NAME)
    logger.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    for handler in [h for h in logger.handlers if isinstance(h, RichHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(RichHandler(console=stderr(), show_time=verbosity > 0, show_path=False))
    logger.propagate = False


def shows_progress() -> bool:
    """Whether bars are wanted: on a terminal, outside CI, without ``M3COMPRESS_NO_PROGRESS``."""
    quiet = os.environ.get("CI") or os.environ.get("M3COMPRESS_NO_PROGRESS")
    return stderr().is_terminal and not quiet


def _ignore(steps: int) -> None:
    del steps


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while something takes longer than a moment.

    Args:
        description: What is going on, a few words.
        total: Number of steps; None if it is not known.

    Yields:
        A function that advances the bar by a number of steps; it does nothing without a bar.
    """
    if not shows_progress():
        yield _ignore
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def stage_bar() -> Iterator[Callable[[str, float], None]]:
    """Show on stderr what is running and how far it is; plain lines where there is no terminal.

    Yields:
        A function of (what is running, fraction done from 0 to 1).
    """
    if not shows_progress():
        yield _stage_lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, fraction: bar.update(task, description=what, completed=fraction)


def _stage_lines() -> Callable[[str, float], None]:
    """One line per stage (the part of a name before its dot), or per tenth of one without parts."""
    shown: set[tuple[str, int]] = set()

    def show(what: str, fraction: float) -> None:
        stage, dot, _ = what.partition(".")
        line = (stage, 0 if dot else int(10 * fraction))
        if line not in shown:
            shown.add(line)
            stderr().print(f"  {fraction:4.0%}  {stage}", markup=False)
        if what == "done":
            shown.clear()  # another run may follow

    return show
