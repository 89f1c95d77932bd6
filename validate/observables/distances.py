"""How far apart two distributions are (definitions of Matbench Discovery's MD task)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import wasserstein_distance

Array = npt.NDArray[np.float64]


def area_between(x: Array, a: Array, b: Array) -> Array:
    """∫|a − b| dx on equidistant x, shapes (n,), (..., n), (..., n) → (...)."""
    return np.asarray(np.abs(a - b).sum(axis=-1) * (x[1] - x[0]))


def rdf_error(r: Array, g: Array, reference: Array) -> Array:
    """100 · min(1, ∫|g − g_ref| dr / ∫|g_ref − 1| dr) in % (Matbench Discovery).

    Shapes (n,), (..., n), (n,) → (...).
    """
    structure = max(float(area_between(r, reference, np.ones_like(reference))), 1e-12)
    return np.asarray(100 * np.minimum(1.0, area_between(r, g, reference) / structure))


def transport(x: Array, a: Array, b: Array) -> float:
    """Wasserstein-1 distance of two densities in the unit of x; infinite if one is empty."""
    a, b = np.clip(a, 0.0, None), np.clip(b, 0.0, None)
    if not (a.sum() > 0 and b.sum() > 0):
        return float("inf")
    return float(wasserstein_distance(x, x, a, b))


def adf_error(degrees: Array, p: Array, reference: Array) -> float:
    """100 · min(1, W₁(p, ref) / W₁(ref, sin θ)) in % (Matbench Discovery)."""
    isotropic = np.sin(np.radians(degrees))
    scale = transport(degrees, reference, isotropic)
    return 100 * min(1.0, transport(degrees, p, reference) / scale)


def vdos_error(frequencies: Array, p: Array, reference: Array) -> float:
    """100 · min(1, W₁(p, ref) / σ_ref) in %, without the last 0.1 % of the reference's power."""
    kept = np.cumsum(reference) <= 0.999 * reference.sum()
    kept[0] = True
    x, p, reference = frequencies[kept], p[kept], reference[kept]
    weights = reference / reference.sum()
    mean = float((weights * x).sum())
    sigma = float(np.sqrt((weights * (x - mean) ** 2).sum()))
    return 100 * min(1.0, transport(x, p, reference) / max(sigma, 1e-12))
