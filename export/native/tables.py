"""Tables of radial functions: value, slope and curvature on a uniform grid, in float64.

The C++ core knows no basis and no cutoff function; it interpolates these by quintic Hermite splines
(``engines/native/table.h``). Everything is written with spherical Bessel functions, which are
accurate down to r = 0.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from scipy.special import spherical_jn

from m3compress.contract.neighbors import FloatArray
from m3compress.errors import ExportError
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential
from m3compress.models.radial import BesselBasis, SmoothBasis

#: Largest error of a spline in the middle of an interval, relative to the largest value of its
#: function, and that of its slope.
VALUE_ERROR: Final = 1e-12
SLOPE_ERROR: Final = 1e-10
_FEWEST: Final = 64
_MOST: Final = 1 << 16


def build_tables(potential: Potential) -> dict[str, FloatArray]:
    """All tables that the core needs of a potential, and where each ends.

    Returns:
        ``tables.edges``, shape (n_points, 3, n_basis), and, unless the three-body block is removed,
        ``tables.triplets`` with f·R_ln and at last f, shape (n_points, 3, max_l · max_n + 1);
        ``….reach`` beside each is the distance in Å of its last point, shape (1,).

    Raises:
        ExportError: If a basis is unknown or takes more points than make sense.
    """
    network, config = potential.to(torch.float64).network, potential.config
    tables = _table("edges", network, config.cutoff)
    if potential.form.name != "removed":
        tables |= _table("triplets", network, min(config.cutoff, config.three_body_cutoff))
    return tables


def _table(name: str, network: M3GNet, reach: float) -> dict[str, FloatArray]:
    sample = {"edges": sample_edges, "triplets": sample_triplets}[name]
    n = _FEWEST
    while True:
        grid = sample(network, np.linspace(0.0, reach, n + 1))
        between = sample(network, (np.arange(n) + 0.5) * reach / n)
        if _is_close(grid, between, reach / n):
            return {f"tables.{name}": grid, f"tables.{name}.reach": np.array([reach])}
        if n >= _MOST:
            raise ExportError(
                f"the radial functions oscillate too fast for a table of {n} intervals",
                hint="export to ONNX instead",
            )
        n *= 2


def _is_close(grid: FloatArray, between: FloatArray, step: float) -> bool:
    """Whether splines through ``grid`` meet what lies halfway, shape (n, 3, columns)."""
    (f0, d0, s0), (f1, d1, s1) = grid[:-1].swapaxes(0, 1), grid[1:].swapaxes(0, 1)
    value = (f0 + f1) / 2 + step * 5 / 32 * (d0 - d1) + step**2 / 64 * (s0 + s1)
    slope = 15 / 8 * (f1 - f0) / step - 7 / 16 * (d0 + d1) + step / 32 * (s1 - s0)
    sizes = np.abs(grid).max(axis=0) + np.finfo(np.float64).tiny
    errors = np.abs(np.stack([value, slope]) - between[:, :2].swapaxes(0, 1)).max(axis=1)
    return bool((errors <= np.array([[VALUE_ERROR], [SLOPE_ERROR]]) * sizes[:2]).all())


def sample_edges(network: M3GNet, r: FloatArray) -> FloatArray:
    """h(r), h'(r), h''(r) at distances r (Å), shape (n_points, 3, n_basis)."""
    return _sample_basis(network.edge_basis, r)


def sample_triplets(network: M3GNet, r: FloatArray) -> FloatArray:
    """f·R_ln and at last f, with two derivatives, shape (n_points, 3, max_l · max_n + 1)."""
    basis = _sample_basis(network.triplet_basis, r)
    taper = _sample_taper(r, network.config.three_body_cutoff)
    f, df, ddf = (taper[:, order, None] for order in range(3))
    g, dg, ddg = basis.swapaxes(0, 1)
    product = np.stack([f * g, df * g + f * dg, ddf * g + 2 * df * dg + f * ddg], axis=1)
    return np.concatenate([product, taper[:, :, None]], axis=2)


def _sample_taper(r: FloatArray, cutoff: float) -> FloatArray:
    """The cutoff polynomial of ``models/radial.py`` and two derivatives, shape (n_points, 3)."""
    x = np.minimum(r / cutoff, 1.0)
    value = 1 + x**3 * (-10 + x * (15 - 6 * x))
    slope = -30 * x**2 * (1 - x) ** 2 / cutoff
    curvature = -60 * x * (1 - x) * (1 - 2 * x) / cutoff**2
    return np.stack([value, slope, curvature], axis=1)


def _sample_basis(basis: Any, r: FloatArray) -> FloatArray:
    if isinstance(basis, SmoothBasis):
        # sin(kr)/r = k j_0(kr)
        waves, matrix = basis.waves.numpy(), basis.matrix.numpy()
        orders = _bessel_derivatives(0, r[:, None] * waves)
        return np.stack([(o * waves ** (k + 1)) @ matrix for k, o in enumerate(orders)], axis=1)
    if isinstance(basis, BesselBasis):
        columns = []
        for order in range(basis.max_l):
            waves, norms = basis.waves[order].numpy(), basis.norms[order].numpy()
            found = _bessel_derivatives(order, r[:, None] * waves)
            columns.append(np.stack([o * waves**k * norms for k, o in enumerate(found)], axis=1))
        return np.concatenate(columns, axis=2)
    raise ExportError(f"the native core has no table for {type(basis).__name__}")


def _bessel_derivatives(order: int, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """j_l, j_l', j_l'' by (2l + 1) j_l' = l j_{l−1} − (l + 1) j_{l+1}, which divides by no x."""

    def j(n: int) -> FloatArray:
        return np.asarray(spherical_jn(n, x)) if n >= 0 else np.zeros_like(x)

    def slope(n: int) -> FloatArray:
        return (n * j(n - 1) - (n + 1) * j(n + 1)) / (2 * n + 1) if n >= 0 else np.zeros_like(x)

    curvature = (order * slope(order - 1) - (order + 1) * slope(order + 1)) / (2 * order + 1)
    return j(order), slope(order), curvature
