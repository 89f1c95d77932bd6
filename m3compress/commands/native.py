"""``m3compress native build``: compile the C++ core."""

from __future__ import annotations

import logging
import time

from m3compress.console import print_json, stderr, stdout
from m3compress.engines.native.build import BuildError, build_library, cache_folder, find_compiler
from m3compress.engines.native.library import find_library
from m3compress.errors import M3CompressError, MissingDependencyError

logger = logging.getLogger("m3compress.native")


def run(*, as_json: bool) -> int:
    """Build and print where the library is; returns the exit code.

    Raises:
        MissingDependencyError: If there is no compiler.
        M3CompressError: If it fails.
    """
    start = time.perf_counter()
    compiler = find_compiler()
    try:
        with stderr().status("compiling libm3c, about a minute"):
            path = build_library(cache_folder(), compiler, report=logger.info)
    except BuildError as error:
        kind = M3CompressError if compiler else MissingDependencyError
        raise kind(error.message, hint=error.hint) from error
    threads = "OpenMP" if compiler and compiler.openmp else "threads of C++"
    document = {
        "library": str(path),
        "found": str(find_library()),
        "compiler": list(compiler.command) if compiler else [],
        "threads": threads,
        "seconds": round(time.perf_counter() - start, 1),
    }
    if as_json:
        print_json(document)
    else:
        stdout().print(f"{path} ({threads}, {document['seconds']} s)", markup=False)
    return 0
