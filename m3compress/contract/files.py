"""Writing files whole or not at all, and telling files apart by what is in them."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from m3compress.errors import M3CompressError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it.

    A killed process leaves the old file or the new one, never half of one.

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


def content_sha256(path: Path) -> str:
    """Hash of the content of a file, or of all files of a folder; its name and place don't count.

    Args:
        path: A file, or the folder of a model.

    Raises:
        M3CompressError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise M3CompressError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()
