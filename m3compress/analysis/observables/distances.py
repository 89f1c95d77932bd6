"""How far apart two distributions are (definitions of Matbench Discovery's MD task)."""

from __future__ import annotations

import numpy as np

from m3compress.contract.arrays import FloatArray


def area_between(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """∫|a − b| dx on equidistant x, shapes (n,), (..., n), (..., n) → (...)."""
    difference = np.asarray(a - b)
    return np.asarray(np.abs(difference, out=difference).sum(axis=-1) * (x[1] - x[0]))


def rdf_error(r: FloatArray, g: FloatArray, reference: FloatArray) -> FloatArray:
    """100 · min(1, ∫|g − g_ref| dr / ∫|g_ref − 1| dr) in % (Matbench Discovery).

    Shapes (n,), (..., n), (n,) → (...).
    """
    structure = max(float(area_between(r, reference, np.ones_like(reference))), 1e-12)
    return np.asarray(100 * np.minimum(1.0, area_between(r, g, reference) / structure))


def transport(x: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Wasserstein-1 distance of densities on equidistant x, in its unit; infinite if one is empty.

    Of one dimension, hence the area between the cumulative distributions.
    Shapes (n,), (..., n), (n,) → (...).
    """
    a, b = np.clip(a, 0.0, None), np.clip(b, 0.0, None)
    empty = ~((a.sum(axis=-1) > 0) & (b.sum(axis=-1) > 0))
    with np.errstate(invalid="ignore"):
        cumulative = [np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True) for p in (a, b)]
    area = np.abs(cumulative[0] - cumulative[1])[..., :-1].sum(axis=-1) * (x[1] - x[0])
    return np.asarray(np.where(empty, np.inf, area))


def adf_error(degrees: FloatArray, p: FloatArray, reference: FloatArray) -> FloatArray:
    """100 · min(1, W₁(p, ref) / W₁(ref, sin θ)) in % (Matbench Discovery).

    Shapes (n,), (..., n), (n,) → (...).
    """
    isotropic = np.sin(np.radians(degrees))
    scale = max(float(transport(degrees, reference, isotropic)), 1e-12)
    return np.asarray(100 * np.minimum(1.0, transport(degrees, p, reference) / scale))


def vdos_error(frequencies: FloatArray, p: FloatArray, reference: FloatArray) -> FloatArray:
    """100 · min(1, W₁(p, ref) / σ_ref) in %, without the last 0.1 % of the reference's power.

    Shapes (n,), (..., n), (n,) → (...).
    """
    kept = np.cumsum(reference) <= 0.999 * reference.sum()
    kept[:2] = True
    x, p, reference = frequencies[kept], p[..., kept], reference[kept]
    weights = reference / reference.sum()
    mean = float((weights * x).sum())
    sigma = float(np.sqrt((weights * (x - mean) ** 2).sum()))
    return np.asarray(100 * np.minimum(1.0, transport(x, p, reference) / max(sigma, 1e-12)))
