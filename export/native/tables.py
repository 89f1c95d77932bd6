"""What the native core reads besides the weights: sizes, and tables of the radial functions.

The C++ core knows no basis and no cutoff function. It evaluates quintic Hermite splines on a
uniform grid (``engines/native/table.h``), computed here in float64 from value, slope and curvature;
these are written with spherical Bessel functions, which are accurate down to r = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from scipy.special import spherical_jn

from m3compress.contract.arrays import FloatArray
from m3compress.errors import ExportError
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential
from m3compress.models.radial import BesselBasis, SmoothBasis

#: Of what is written here; the core reads no other one.
FORMAT: Final = 2
#: Largest error of a spline in the middle of an interval, relative to the largest value of its
#: function, and that of its slope.
VALUE_ERROR: Final = 1e-12
SLOPE_ERROR: Final = 1e-10
_FEWEST: Final = 64
_MOST: Final = 1 << 16


def build_core(potential: Potential) -> dict[str, FloatArray]:
    """All that the core needs of a potential besides its weights.

    Returns:
        ``core.sizes`` and ``core.symbols``, as ``Sizes`` in ``engines/native/file.h`` reads them;
        ``core.edges``, shape (n_intervals, 6, n_basis), the polynomials of h(r) in every interval;
        unless the three-body block is removed, ``core.triplets`` with f·R_ln and at last f; and
        beside each ``….reach``, the distance in Å where it ends.

    Raises:
        ExportError: If a basis is unknown or takes more points than make sense.
    """
    network, config = potential.to(torch.float64).network, potential.config
    has_triplets = potential.form.name != "removed"
    reach = min(config.cutoff, config.three_body_cutoff) if has_triplets else 0.0
    letters = [[ord(letter) for letter in symbol.ljust(2, "\0")] for symbol in config.elements]
    tables = {"core.edges": _table(sample_edges, network, config.cutoff)}
    reaches = {"core.edges.reach": np.array([config.cutoff])}
    if has_triplets:
        tables["core.triplets"] = _table(sample_triplets, network, reach)
        reaches["core.triplets.reach"] = np.array([reach])
    sizes = (
        *(FORMAT, config.cutoff, reach, potential.energy_offset),
        *(len(config.elements), config.max_n, config.max_l, config.n_blocks),
        *(config.node_width, config.edge_width),
        config.edge_basis_size,
        config.message_activation == "silu",
        config.convention.gate_atom == "center",
        config.convention.messages_to == "center",
    )
    own = {"core.sizes": np.array(sizes, np.float64), "core.symbols": np.array(letters, np.float64)}
    return own | tables | reaches


def _table(
    sample: Callable[[M3GNet, FloatArray], FloatArray], network: M3GNet, reach: float
) -> FloatArray:
    n = _FEWEST
    while True:
        grid = sample(network, np.linspace(0.0, reach, n + 1))
        between = sample(network, (np.arange(n) + 0.5) * reach / n)
        if _is_close(grid, between, reach / n):
            return polynomials(grid, reach / n)
        if n >= _MOST:
            raise ExportError(
                f"the radial functions oscillate too fast for a table of {n} intervals",
                hint="export to ONNX instead",
            )
        n *= 2


def polynomials(grid: FloatArray, step: float) -> FloatArray:
    """Coefficients of 1, t … t⁵, t from 0 to 1 in every interval, from ``grid`` (n + 1, 3, …)."""
    scaled = grid * step ** np.arange(3)[:, None]
    (f0, d0, s0), (f1, d1, s1) = scaled[:-1].swapaxes(0, 1), scaled[1:].swapaxes(0, 1)
    rise = f1 - f0
    terms = (
        *(f0, d0, s0 / 2),
        10 * rise - 6 * d0 - 4 * d1 - 1.5 * s0 + 0.5 * s1,
        -15 * rise + 8 * d0 + 7 * d1 + 1.5 * s0 - s1,
        6 * rise - 3 * (d0 + d1) - 0.5 * (s0 - s1),
    )
    return np.stack(terms, axis=1)


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
