"""The table of readers: which file formats are known, and who reads them.

A new format is a module with a function that reads it, one row here, and its test; see
``docs/extending.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from m3compress.models.potential import Potential
from m3compress.models.readers.lightning import looks_like_lightning, read_lightning
from m3compress.models.readers.matgl import looks_like_matgl, read_matgl
from m3compress.models.readers.mattersim import looks_like_mattersim, read_mattersim
from m3compress.models.readers.native import looks_like_native, read_native
from m3compress.models.readers.tensorflow import looks_like_tensorflow, read_tensorflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One file format.

    Attributes:
        format: Its name, as in :attr:`~m3compress.models.potential.Provenance.format`.
        description: What a user gives the path of, for messages: "a MatterSim .pth file".
        recognises: Whether a path that exists is of this format, judged by names alone.
        read: Reads it, in float64 and in its convention, or in a provisional one if the file leaves
            that open; raises :class:`~m3compress.errors.M3CompressError`.
        conventions: Conventions among which the file leaves the choice, oldest first; empty if it
            settles its own. Measurements decide (:mod:`m3compress.models.detection`).
        suffixes: Of its files: what ends in one is never taken for a name on a hub.
    """

    format: str
    description: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Potential]
    conventions: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


_MATGL: Final = ("matgl-dgl", "matgl-3", "matgl-4.1")

#: Every known format. The first that recognises a path reads it: a folder with the files of two
#: is the original's, whose file names nobody else uses.
READERS: Final[tuple[Reader, ...]] = (
    Reader(
        format="tensorflow",
        description="the original TensorFlow directory (m3gnet.json, m3gnet.index, m3gnet.data-*)",
        recognises=looks_like_tensorflow,
        read=read_tensorflow,
        suffixes=(".json", ".index"),
    ),
    Reader(
        format="matgl",
        description="a matgl directory (model.pt, state.pt, model.json)",
        recognises=looks_like_matgl,
        read=read_matgl,
        conventions=_MATGL,
        suffixes=(".pt", ".json"),
    ),
    Reader(
        format="lightning",
        description="a .ckpt of a matgl training (with model.pt and model.json beside it)",
        recognises=looks_like_lightning,
        read=read_lightning,
        conventions=_MATGL,
        suffixes=(".ckpt",),
    ),
    Reader(
        format="mattersim",
        description="a MatterSim .pth file",
        recognises=looks_like_mattersim,
        read=read_mattersim,
        suffixes=(".pth",),
    ),
    Reader(
        format="native",
        description="an m3compress .m3c.safetensors file",
        recognises=looks_like_native,
        read=read_native,
        suffixes=(".safetensors",),
    ),
)


def reader_of(path: Path) -> Reader | None:
    """The reader of a path that exists; None if its format is unknown."""
    return next((reader for reader in READERS if reader.recognises(path)), None)


def descriptions() -> tuple[str, ...]:
    """What paths can be given, one phrase for each format."""
    return tuple(reader.description for reader in READERS)


def file_suffixes() -> tuple[str, ...]:
    """Suffixes of the files of all formats."""
    return tuple(suffix for reader in READERS for suffix in reader.suffixes)


def open_conventions(file_format: str) -> tuple[str, ...]:
    """Conventions among which files of a format leave the choice; empty if they settle it.

    A potential that no reader made has a format that is in no row: it says nothing.
    """
    said_by = [reader for reader in READERS if reader.format == file_format] or READERS
    return tuple(dict.fromkeys(name for reader in said_by for name in reader.conventions))
