"""Bond-angle distributions: what a three-body block shapes first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import covalent_radii

from m3compress.contract.arrays import FloatArray
from m3compress.contract.neighbors import find_edges

N_BINS = 180
#: Bonded if no further apart than this times the sum of covalent radii (Matbench Discovery).
_BONDED = 1.25


def angle_distribution(frames: Sequence[Atoms]) -> tuple[FloatArray, FloatArray]:
    """Distribution of the angles j-i-k over all pairs of bonds of an atom.

    Args:
        frames: Structures of the same atoms.

    Returns:
        Angles in degrees (n_bins,), and the density per degree of every frame
        (n_frames, n_bins); zero where a frame has no angle.
    """
    centres = (np.arange(N_BINS) + 0.5) * 180 / N_BINS
    return centres, np.array([_angles(frame) for frame in frames])


def _angles(frame: Atoms) -> FloatArray:
    radii = covalent_radii[frame.numbers]
    edges, vectors = find_edges(frame, 2 * _BONDED * float(radii.max()))
    lengths = np.linalg.norm(vectors, axis=1)
    bonded = lengths <= _BONDED * (radii[edges.centers] + radii[edges.neighbors])
    centers, units = edges.centers[bonded], vectors[bonded] / lengths[bonded, None]
    starts = np.searchsorted(centers, np.arange(len(frame) + 1))
    found = []
    for first, last in pairwise(starts):
        cosines = units[first:last] @ units[first:last].T
        found.append(cosines[_upper(int(last - first))])
    cosines = np.concatenate(found)
    degrees = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    counts = np.histogram(degrees, bins=N_BINS, range=(0.0, 180.0))[0].astype(np.float64)
    total = float(counts.sum())
    return np.asarray(counts / (total * 180 / N_BINS)) if total else counts


@cache
def _upper(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the pairs of n bonds."""
    rows, columns = np.triu_indices(n, k=1)
    return rows, columns
