"""Writing files so that a killed process leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from m3compress.errors import M3CompressError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it.

    Args:
        path: The file; its folder is made.
        content: What to write.

    Raises:
        M3CompressError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        # Where the folder itself is missing or no folder, this fails like what came before.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise M3CompressError(
            f"cannot write {path}: {error.strerror}", hint="free some space, or write elsewhere"
        ) from error
