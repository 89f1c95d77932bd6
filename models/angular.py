"""Real spherical harmonics and Legendre polynomials for the three-body block.

Both use the normalisation of the addition theorem without its prefactor,
Σ_m S_lm(u) S_lm(v) = P_l(u·v) (Racah's), so that S_l0 of a vector with itself sums to one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def legendre(cosine: Tensor, max_l: int) -> list[Tensor]:
    """P_0 … P_{max_l−1} of a cosine by Bonnet's recursion; each has the shape of ``cosine``."""
    values = [torch.ones_like(cosine), cosine]
    for order in range(1, max_l - 1):
        following = (2 * order + 1) * cosine * values[order] - order * values[order - 1]
        values.append(following / (order + 1))
    return values[:max_l]


def solid_harmonics(unit: Tensor, max_l: int) -> Tensor:
    """Real Racah-normalised spherical harmonics S_lm of unit vectors.

    Built from Re and Im of (x + iy)^m and the z-polynomials Q_lm of the associated Legendre
    functions without their (1 − z²)^{m/2}, so that everything is a polynomial: no angle, no
    division, smooth on the poles (Helgaker, Jørgensen & Olsen, Molecular Electronic-Structure
    Theory, §6.4).

    Args:
        unit: Unit vectors, shape (*edges, 3).
        max_l: Number of angular momenta.

    Returns:
        Columns l-major, m = −l … l: shape (*edges, max_l²).
    """
    x, y, z = unit.unbind(-1)
    # Constant factors stay Python numbers, so that they cost no node in an exported graph.
    real: list[Tensor | float] = [1.0, x]
    imaginary: list[Tensor | float] = [0.0, y]
    for _ in range(2, max_l):
        previous_real, previous_imaginary = real[-1], imaginary[-1]
        real.append(previous_real * x - previous_imaginary * y)
        imaginary.append(previous_real * y + previous_imaginary * x)
    columns = [torch.ones_like(x)]
    for order in range(1, max_l):
        for m in range(-order, order + 1):
            size = abs(m)
            norm = math.sqrt(
                (2.0 if m else 1.0) * math.factorial(order - size) / math.factorial(order + size)
            )
            azimuth = imaginary[size] if m < 0 else real[size]
            # Never a number: of the polynomial and the azimuth, one depends on the vector.
            columns.append(norm * _legendre_without_sine(order, size, z) * azimuth)  # type: ignore[arg-type]
    return torch.stack(columns, dim=-1)


def _legendre_without_sine(order: int, m: int, z: Tensor) -> Tensor | float:
    """Q_lm(z) = P_lm(z) / (1 − z²)^{m/2} (no Condon-Shortley phase), by upward recursion in l."""
    current: Tensor | float = float(math.prod(range(1, 2 * m, 2)))
    previous: Tensor | float = 0.0
    for degree in range(m + 1, order + 1):
        following = ((2 * degree - 1) * z * current - (degree + m - 1) * previous) / (degree - m)
        previous, current = current, following
    return current
