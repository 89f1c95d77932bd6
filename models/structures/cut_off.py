"""Frames that announce more atoms than lines follow: files cut off, or numbers that were damaged.

ASE reads on at the end of a file, once for every atom announced: 10¹¹ keep it busy for hours.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from ase.io.formats import open_with_compression

from m3compress.errors import StructureError
from m3compress.models.structures.mistaken import format_of

#: More lines than a file has.
_MOST: Final = 10**15
#: What reading text from a file may raise, compressed or not.
_UNREADABLE: Final = (OSError, EOFError, UnicodeDecodeError, zlib.error)


def refuse_frames_cut_off(path: Path) -> None:
    """Refuse a file of which a frame announces more atoms than lines follow.

    Args:
        path: A file that exists.

    Raises:
        StructureError: Naming the frame, what it announces and what follows.
    """
    counted = _COUNTED.get(format_of(path) or "")
    if counted is None:
        return
    with suppress(*_UNREADABLE), open_with_compression(str(path), "rt") as stream:
        for number, (announced, found) in enumerate(counted(stream)):
            if found < announced:
                raise StructureError(
                    f"frame {number} of {path} announces {announced} atoms, but {found} lines "
                    "follow",
                    hint="the file was cut off, or the number is wrong",
                )


def _of_xyz(stream: TextIO) -> Iterator[tuple[int, int]]:
    """Atoms announced by each frame and lines that follow, up to what is no frame."""
    while True:
        header = stream.readline()
        while header.lstrip().startswith("VEC"):
            header = stream.readline()
        announced = _number(header)
        if announced is None:
            return
        found = sum(1 for _ in islice(stream, min(announced, _MOST) + 1))
        yield announced, max(found - 1, 0)


def _of_dump(stream: TextIO) -> Iterator[tuple[int, int]]:
    """The same of a text dump of LAMMPS."""
    announced, line = 0, stream.readline()
    while line:
        if line.startswith("ITEM: NUMBER OF ATOMS"):
            announced = _number(stream.readline()) or 0
            line = stream.readline()
        elif line.startswith("ITEM: ATOMS"):
            found, line = 0, stream.readline()
            while line and not line.startswith("ITEM:"):
                found, line = found + 1, stream.readline()
            yield announced, found
        else:
            line = stream.readline()


def _number(line: str) -> int | None:
    """Of atoms; None where ASE will say that it is none."""
    try:
        number = int(line)
    except ValueError:
        return None
    return number if number >= 0 else None


_COUNTED: Final[Mapping[str, Callable[[TextIO], Iterator[tuple[int, int]]]]] = {
    "extxyz": _of_xyz,
    "xyz": _of_xyz,
    "lammps-dump-text": _of_dump,
}
