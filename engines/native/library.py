"""Find and load libm3c, and say how its functions are called (``m3c.h``)."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Final

from m3compress.engines.native.build import SOURCES, cache_folder, library_name
from m3compress.errors import MissingDependencyError

_VERSION: Final = 3


class Options(ctypes.Structure):
    """How a model is opened: ``m3c_options``."""

    _fields_ = (
        ("precision", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("memory", ctypes.c_int),
        ("budget", ctypes.c_double),
        ("isa", ctypes.c_char_p),
    )


class Info(ctypes.Structure):
    """What a model is: ``m3c_info``."""

    _fields_ = (
        ("isa", ctypes.c_char_p),
        ("n_elements", ctypes.c_int),
        ("symbols", ctypes.POINTER(ctypes.c_char)),
        ("element_energies", ctypes.POINTER(ctypes.c_double)),
        ("energy_offset", ctypes.c_double),
        ("cutoff", ctypes.c_double),
        ("n_blocks", ctypes.c_int),
        ("row_width", ctypes.c_int),
        ("keeps", ctypes.c_int),
        ("bytes", ctypes.c_double),
    )


class System(ctypes.Structure):
    """Atoms and edges: ``m3c_system``."""

    _fields_ = (
        ("n_counted", ctypes.c_int64),
        ("n_owned", ctypes.c_int64),
        ("n_rows", ctypes.c_int64),
        ("species", ctypes.c_void_p),
        ("begins", ctypes.c_void_p),
        ("neighbors", ctypes.c_void_p),
        ("vectors", ctypes.c_void_p),
    )


class Bins(ctypes.Structure):
    """Atoms in bins: ``m3c_bins``."""

    _fields_ = (
        ("n_atoms", ctypes.c_int64),
        ("positions", ctypes.c_void_p),
        ("bins", ctypes.c_void_p),
        ("ranges", ctypes.c_void_p),
        ("cell", ctypes.c_double * 9),
        ("counts", ctypes.c_int32 * 3),
        ("reach", ctypes.c_int32 * 3),
        ("periodic", ctypes.c_int32 * 3),
    )


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
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("open", pointer, (ctypes.c_char_p, pointer, ctypes.c_char_p, ctypes.c_size_t)),
        ("close", None, (pointer,)),
        ("error", ctypes.c_char_p, (pointer,)),
        ("describe", Info, (pointer,)),
        ("evaluate", integer, (pointer,) * 6),
        ("begin", integer, (pointer, pointer)),
        ("forward", integer, (pointer, integer)),
        ("readout", integer, (pointer, pointer)),
        ("backward", integer, (pointer, integer)),
        ("forces", integer, (pointer,) * 4),
        ("rows", pointer, (pointer, integer, integer)),
        ("edges", None, (pointer, ctypes.c_double, integer, integer, *(pointer,) * 3)),
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
