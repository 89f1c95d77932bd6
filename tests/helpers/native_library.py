"""The native core for tests: built once for all of them, and structures as it reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from filelock import FileLock

from m3compress.contract.neighbors import find_edges
from m3compress.engines.native.build import build_library, cache_folder
from m3compress.engines.native.library import find_library
from m3compress.engines.native.system import CoreSystem
from m3compress.models.potential import Potential


def built_library() -> Path:
    """The library of these sources; the first who asks compiles it, which takes a minute."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "build.lock"):
        return find_library() or build_library(folder)


def core_system(potential: Potential, atoms: Atoms, precision: str = "float64") -> CoreSystem:
    """A structure in the form that the core reads."""
    edges, vectors = find_edges(atoms, potential.cutoff)
    counts = np.bincount(edges.centers, minlength=len(atoms))
    return CoreSystem(
        species=potential.species(atoms).astype(np.int32),
        begins=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        neighbors=edges.neighbors.astype(np.int32),
        vectors=np.ascontiguousarray(vectors, dtype=precision),
    )
