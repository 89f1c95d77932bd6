"""Radial distribution functions of any periodic trajectory.

g_ab(r) = V n_ab(r) / (N_a N_b 4πr²Δr) per frame, with that frame's volume (right for NPT), over all
periodic images (right for triclinic cells and any r_max). A gas without interactions gives 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.ndimage import gaussian_filter1d

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.cells import has_volume
from m3compress.contract.search import NeighborList
from m3compress.errors import StructureError

#: Name of the distribution of all pairs.
TOTAL = "total"
#: Standard deviation in Å over which a curve is smoothed before its peak is looked for: less than
#: half of what thermal motion makes of a first shell.
_SMOOTHED: Final = 0.05


@dataclass(frozen=True)
class PairDistribution:
    """g(r) of every frame.

    Attributes:
        r: Centres of the bins in Å, shape (n_bins,).
        g: By name of the pair (``O-Si``, symbols in order of the alphabet, and ``total``), shape
            (n_frames, n_bins).
        density: Mean number density of each element in 1/Å³.
    """

    r: FloatArray
    g: dict[str, FloatArray]
    density: dict[str, float]

    @property
    def width(self) -> float:
        """Width of a bin in Å."""
        return float(self.r[1] - self.r[0])


def pair_distribution(frames: Sequence[Atoms], r_max: float, n_bins: int = 200) -> PairDistribution:
    """Partial and total radial distribution functions.

    Args:
        frames: Structures of the same atoms, periodic in all directions.
        r_max: Largest distance in Å; may exceed half of the cell.
        n_bins: Number of bins from 0 to ``r_max``.

    Raises:
        StructureError: If there is no frame or one has no volume.
    """
    if not frames:
        raise StructureError("a radial distribution function needs frames, got none")
    numbers = frames[0].numbers
    kinds, species = np.unique(numbers, return_inverse=True)
    pairs = list(combinations_with_replacement(range(len(kinds)), 2))
    row = np.zeros((len(kinds), len(kinds)), dtype=np.int64)
    for index, (a, b) in enumerate(pairs):
        row[a, b] = row[b, a] = index
    edges = np.linspace(0.0, r_max, n_bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    search = NeighborList(cutoff=r_max, full_list=False)
    counts = np.zeros((len(frames), len(pairs), n_bins))
    volumes = np.array([_volume(frame) for frame in frames])
    for i, frame in enumerate(frames):
        left, right, distances = search.compute(
            frame.positions, np.asarray(frame.cell), [True, True, True], "ijd"
        )
        bins = np.minimum((distances * (n_bins / r_max)).astype(np.int64), n_bins - 1)
        flat = row[species[left], species[right]] * n_bins + bins
        counts[i] = np.bincount(flat, minlength=counts[i].size).reshape(counts[i].shape)
    return _normalise(edges, kinds, np.bincount(species), pairs, counts, volumes, shells)


def _normalise(
    edges: FloatArray,
    kinds: IntArray,
    population: IntArray,
    pairs: Sequence[tuple[int, int]],
    counts: FloatArray,
    volumes: FloatArray,
    shells: FloatArray,
) -> PairDistribution:
    scale = volumes[:, None] / shells
    g = {}
    for index, (a, b) in enumerate(pairs):
        # A half list holds each pair once: N_a N_b of unlike and N_a²/2 of like atoms.
        expected = population[a] * population[b] / (2 if a == b else 1)
        names = sorted((chemical_symbols[kinds[a]], chemical_symbols[kinds[b]]))
        g["-".join(names)] = counts[:, index] * scale / expected
    g[TOTAL] = counts.sum(axis=1) * scale / (population.sum() ** 2 / 2)
    density = {
        chemical_symbols[kind]: float((count / volumes).mean())
        for kind, count in zip(kinds, population, strict=True)
    }
    return PairDistribution((edges[:-1] + edges[1:]) / 2, g, density)


def _volume(frame: Atoms) -> float:
    if not has_volume(frame):
        raise StructureError(
            f"a radial distribution function needs a cell periodic in all directions, "
            f"got pbc={frame.pbc.tolist()}",
            hint="give a periodic structure",
        )
    return float(frame.get_volume())


def coordination_number(r: FloatArray, g: FloatArray, density: float, reach: float) -> FloatArray:
    """Neighbours within ``reach``: 4πρ ∫ g r² dr.

    Args:
        r: Bin centres in Å, shape (n_bins,).
        g: g(r), shape (..., n_bins).
        density: Of the neighbours in 1/Å³.
        reach: Upper end of the integral in Å.

    Returns:
        Shape (...).
    """
    inside = r <= reach
    integrand = g[..., inside] * r[inside] ** 2
    return np.asarray(4 * np.pi * density * integrand.sum(axis=-1) * (r[1] - r[0]))


def first_peak(r: FloatArray, g: FloatArray) -> float | None:
    """Position of the first peak in Å, as the centroid above half of its height.

    The curve is smoothed first: a bin into which few pairs happened to fall would end the peak, and
    its centroid would jump by a tenth of an Å.

    Args:
        r: Bin centres in Å, equally spaced, shape (n_bins,).
        g: Radial distribution function, shape (n_bins,).

    Returns:
        None if g never exceeds 1, or does not fall to half of its height again: where all distances
        are about as likely, as among the mobile ions of a conductor, a centroid is one of noise.
    """
    g = _smoothed(r, g)
    above = np.flatnonzero(g > 1.0)
    if not above.size:
        return None
    start = stop = int(above[0])
    while stop < len(g) and g[stop] > 1.0:
        stop += 1
    top = start + int(np.argmax(g[start:stop]))
    half = g > g[top] / 2
    low = high = top
    while low > 0 and half[low - 1]:
        low -= 1
    while high < len(g) - 1 and half[high + 1]:
        high += 1
    if high == len(g) - 1:
        return None
    weights = g[low : high + 1]
    return float((weights * r[low : high + 1]).sum() / weights.sum())


def _smoothed(r: FloatArray, g: FloatArray) -> FloatArray:
    return np.asarray(gaussian_filter1d(g, _SMOOTHED / (r[1] - r[0]), mode="nearest"))


def first_minimum(r: FloatArray, g: FloatArray) -> float:
    """Where the first shell ends, in Å: the smallest g between the first peak and the next rise.

    In the smoothed curve, for a bin of few pairs on the way up is no end of a shell.
    """
    g = _smoothed(r, g)
    above = np.flatnonzero(g > 1.0)
    if not above.size:
        return float(r[-1])
    after = int(above[0])
    while after < len(g) and g[after] > 1.0:
        after += 1
    rises = np.flatnonzero(g[after:] > 1.0)
    end = after + int(rises[0]) if rises.size else len(g)
    if end <= after:
        return float(r[-1])
    low = g[after:end]
    # The middle of a flat valley, rather than its first empty bin.
    flat = np.flatnonzero(low <= low.min() + 1e-9)
    return float(r[after + int(flat[len(flat) // 2])])
