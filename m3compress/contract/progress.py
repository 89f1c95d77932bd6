"""How long work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Told what is running and which fraction of it is done.
Progress = Callable[[str, float], None]


def silent(what: str, fraction: float) -> None:
    """The progress of work that nobody watches."""
    del what, fraction
