"""One process at a time in a folder; for rooms that come with ``filelock``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from m3compress.errors import M3CompressError

#: Name of the lock in its folder.
LOCK: Final = ".lock"


@contextmanager
def alone_in(folder: Path, busy: str, hint: str) -> Iterator[None]:
    """Keep other processes out of a folder; the system lets go of it however this one ends.

    Args:
        folder: The folder.
        busy: What to say where another process is at work there.
        hint: What to do then.

    Raises:
        M3CompressError: If another process is at work there.
        OSError: If the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise M3CompressError(busy, hint=hint) from error
    try:
        yield
    finally:
        lock.release()
