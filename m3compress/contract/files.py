"""Writing files whole or not at all, and telling files apart by what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from m3compress.errors import M3CompressError, OutputExistsError


def expanded(path: str | Path) -> Path:
    """A path with the home folder for ``~``; a ``~name`` that nobody has stays as it is."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


@contextmanager
def not_left_empty(folder: Path) -> Iterator[None]:
    """Take a folder away that is made in here, where something fails before it writes there."""
    known = folder.exists()
    try:
        yield
    except BaseException:
        if not known and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it.

    A killed process or a power failure leaves the old file or the new one, never half of one.

    Args:
        path: The file; its folder is made.
        content: What to write.

    Raises:
        M3CompressError: If it cannot be written; what was there is whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        _flush(temporary)
        temporary.replace(path)
        _flush_name(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        # Where the folder itself is missing or no folder, this fails like what came before.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """A hidden folder beside an output, gone afterwards whatever happens.

    It is where the output is made and checked before :func:`move_into_place`: only within one file
    system is a rename atomic. What fails in the block because of the disk is a failure to write the
    output.

    Args:
        output: The file or folder to be made; the folder around it is made if it is not there.

    Yields:
        The hidden folder, which is empty.

    Raises:
        M3CompressError: If nothing can be written there.
    """
    parent = output.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".m3compress-", dir=parent))
    except OSError as error:
        raise M3CompressError(f"cannot write in {parent}: {error.strerror}") from error
    try:
        yield folder
    except OSError as error:
        raise _cannot_write(output, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into_place(folder: Path, *outputs: Path) -> None:
    """Flush what was made in a workplace to the disk, then rename it; what is in the way goes.

    A folder is never in the way of a file: nobody who replaces a file means to lose a folder.
    Whether a folder may take the place of another one is for the caller to know.

    Args:
        folder: The workplace, which holds a file or a folder of files by the name of every output.
        *outputs: Final names, in the order in which they appear.

    Raises:
        OutputExistsError: If a folder stands where a file goes.
        M3CompressError: If it cannot be done; what an output was before is whole.
    """
    for output in outputs:
        if output.is_dir() and (folder / output.name).is_file():
            refuse_folder(output)
    output = outputs[0]
    try:
        for output in outputs:
            _flush(folder / output.name)
        for output in outputs:
            _replace(folder / output.name, output)
            _flush_name(output)
    except OSError as error:
        raise _cannot_write(output, error) from error


def refuse_folder(path: Path) -> NoReturn:
    """Say that a folder stands where a file goes.

    Raises:
        OutputExistsError: Always.
    """
    raise OutputExistsError(
        f"{path} is a folder, expected a file or nothing",
        hint="give another name, or move the folder elsewhere; `--force` replaces files only",
    )


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of the content of a file, which is never in memory as a whole.

    Raises:
        M3CompressError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise M3CompressError(
            f"{path} cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


def content_sha256(path: Path) -> str:
    """Hash of the content of a file, or of all files of a folder; its name and place don't count.

    Args:
        path: A file, or the folder of a model.

    Raises:
        M3CompressError: If it cannot be read.
    """
    try:
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    except OSError as error:
        raise M3CompressError(f"{path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256()
    for file in files:
        digest.update(bytes.fromhex(sha256_of(file)))
    return digest.hexdigest()


def document_sha256(document: Any) -> str:
    """Hash of plain values; the order of keys does not count."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file, or the files of a folder, are on the disk."""
    for file in path.iterdir() if path.is_dir() else (path,):
        with file.open("r+b") as stream:
            os.fsync(stream.fileno())


def _flush_name(path: Path) -> None:
    """Wait until the name of a file is on the disk, where the file system can tell."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _replace(made: Path, output: Path) -> None:
    """Rename in one step; where a folder is in the way or takes a place, the old goes aside."""
    if not output.exists() or not (made.is_dir() or output.is_dir()):
        made.replace(output)
        return
    aside = made.with_name(f"{made.name}.replaced")
    output.rename(aside)
    try:
        made.replace(output)
    except OSError:
        aside.rename(output)
        raise


def _cannot_write(path: Path, error: OSError) -> M3CompressError:
    return M3CompressError(
        f"cannot write {path}: {error.strerror or error}",
        hint="free some space, or write elsewhere",
    )
