"""Find and load libm3c, and say how its functions are called (``m3c.h``)."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Final

from m3compress.engines.native.build import SOURCES, cache_folder, library_name
from m3compress.errors import MissingDependencyError

_VERSION: Final = 1


def find_library() -> Path | None:
    """The library of these sources: beside them, or in the cache; None if it was not built."""
    name = library_name()
    places = (SOURCES / name, cache_folder() / name)
    return next((path for path in places if path.is_file()), None)


@functools.cache
def load_library() -> ctypes.CDLL:
    """Load the library.

    Raises:
        MissingDependencyError: If it was not built, or does not load.
    """
    path = find_library()
    if path is None:
        raise MissingDependencyError(
            "the native core was not built here",
            hint="`m3compress native build` builds it; `m3compress doctor` says what is missing",
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingDependencyError(
            f"{path} does not load: {error}", hint="build it again with `m3compress native build`"
        ) from error
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
    for name, result, arguments in (
        ("open", pointer, (ctypes.c_char_p, pointer, ctypes.c_char_p, ctypes.c_size_t)),
        ("close", None, (pointer,)),
        ("error", ctypes.c_char_p, (pointer,)),
        ("isa", ctypes.c_char_p, (pointer,)),
        ("n_elements", integer, (pointer,)),
        ("element", ctypes.c_char_p, (pointer, integer)),
        ("element_energy", number, (pointer, integer)),
        ("energy_offset", number, (pointer,)),
        ("cutoff", number, (pointer,)),
        ("n_blocks", integer, (pointer,)),
        ("bytes", number, (pointer,)),
        ("keeps", integer, (pointer,)),
        ("evaluate", integer, (pointer,) * 6),
        ("evaluate_structure", integer, (pointer,) * 7),
        ("begin", integer, (pointer, pointer)),
        ("forward", integer, (pointer, integer)),
        ("readout", integer, (pointer, pointer)),
        ("backward", integer, (pointer, integer)),
        ("forces", integer, (pointer,) * 4),
        ("features", pointer, (pointer, integer)),
        ("adjoints", pointer, (pointer, integer)),
        ("row_width", ctypes.c_int64, (pointer,)),
        ("version", integer, ()),
    ):
        function = getattr(library, f"m3c_{name}")
        function.restype, function.argtypes = result, arguments
    if library.m3c_version() != _VERSION:
        raise MissingDependencyError(
            f"{path} has version {library.m3c_version()}, expected {_VERSION}",
            hint="build it again with `m3compress native build`",
        )
    return library
