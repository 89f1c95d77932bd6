"""Tables whose rows have names: backends, targets of an export, MD codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from m3compress.errors import UnknownNameError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Row = TypeVar("_Row", bound=_Named)


def row_named(rows: Sequence[_Row], kind: str, name: str) -> _Row:
    """The row of a table.

    Args:
        rows: The table.
        kind: What a row is called in messages.
        name: Of the row.

    Raises:
        UnknownNameError: If there is none of that name; those that exist are named.
    """
    for row in rows:
        if row.name == name:
            return row
    raise UnknownNameError(kind, name, [row.name for row in rows])
