"""Radial functions: the smooth and the Bessel basis, and the cutoff polynomial.

Both bases are linear combinations of products of sines, cosines and powers of r, evaluated with
their analytic structure left to autograd; they are smooth functions of r > 0.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from m3compress.models.config import Precision


def polynomial_cutoff(r: Tensor, cutoff: float) -> Tensor:
    """f(r) = 1 − 10 x³ + 15 x⁴ − 6 x⁵ with x = r / cutoff, and 0 beyond (arXiv:2003.03123, p = 3).

    Value, slope and curvature vanish at the cutoff.

    Args:
        r: Distances in Å, any shape.
        cutoff: Cutoff in Å.

    Returns:
        f, the same shape.
    """
    x = torch.clamp(r / cutoff, max=1.0)
    return 1.0 + x * x * x * (-10.0 + x * (15.0 - 6.0 * x))


class SmoothBasis(nn.Module):
    """Orthogonalised sinc pairs g_n(r) of arXiv:1907.02374, value and slope zero at the cutoff.

    f_n ∝ sinc((n+1)πr/c) + sinc((n+2)πr/c), orthogonalised by the paper's two-term recursion,
    which is a fixed lower-triangular matrix: g = L · f. L is applied in the same pass as the norms.

    Args:
        size: Number of functions.
        cutoff: Cutoff in Å.
        constants: Precision in which norms, overlaps and wave numbers are computed.
    """

    waves: Tensor
    matrix: Tensor

    def __init__(self, size: int, cutoff: float, constants: Precision = "float64") -> None:
        super().__init__()
        # Plain numbers take the precision of ``n``. The order of the operations is MatterSim's:
        # in float32 another one gives another last digit.
        n = np.arange(size, dtype=constants)
        norm = (-1) ** n * math.sqrt(2) * math.pi / cutoff**1.5 * (n + 1) * (n + 2)
        norm /= np.sqrt(2 * n**2 + 6 * n + 5)
        overlap = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1)
        mixing = np.zeros((size, size))
        mixing[0, 0] = 1.0
        d_previous = n.dtype.type(1.0)
        for k in range(1, size):
            d = 1 - overlap[k] / d_previous
            mixing[k] = math.sqrt(overlap[k] / np.float64(d_previous)) * mixing[k - 1]
            mixing[k, k] = 1.0
            mixing[k] /= math.sqrt(d)
            d_previous = d
        waves = (np.arange(1, size + 2, dtype=constants) * math.pi / cutoff).astype(np.float64)
        pairs = (mixing * norm) @ (np.eye(size, size + 1) + np.eye(size, size + 1, k=1))
        self.register_buffer("waves", torch.tensor(waves, dtype=torch.float64), persistent=False)
        # sinc(kr) = sin(kr)/(kr): the 1/k goes into the matrix, the 1/r is one division per edge.
        matrix = torch.tensor(pairs / waves, dtype=torch.float64).T.contiguous()
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        """g_n(r): (*edges, 1) in Å → (*edges, size)."""
        # A product of matrices: broadcasting over a last axis of a few numbers is slow on CPUs.
        sines: Tensor = torch.sin(r @ self.waves.unsqueeze(0))
        # Divided first: TensorRT-RTX 1.7 fails to build the gradient of the other order.
        return (sines / r) @ self.matrix


def spherical_bessel_zeros(max_l: int, max_n: int) -> np.ndarray:
    """First ``max_n`` positive zeros of j_0 … j_{max_l−1}, shape (max_l, max_n).

    Zeros of j_l interlace with those of j_{l−1}, so each is bracketed by two neighbours one order
    down.
    """
    zeros = np.arange(1, max_n + max_l + 1) * math.pi
    rows = [zeros[:max_n]]
    for order in range(1, max_l):
        zeros = np.array(
            [brentq(_bessel, low, high, args=(order,), xtol=1e-15) for low, high in pairwise(zeros)]
        )
        rows.append(zeros[:max_n])
    return np.array(rows)


def _bessel(x: float, order: int) -> float:
    return float(spherical_jn(order, x))


class BesselBasis(nn.Module):
    """j_l(z_ln r/c) · √(2/c³) / |j_{l+1}(z_ln)|, columns l-major with n inner."""

    waves: Tensor
    norms: Tensor

    def __init__(self, max_l: int, max_n: int, cutoff: float) -> None:
        super().__init__()
        zeros = spherical_bessel_zeros(max_l, max_n)
        norms = [
            math.sqrt(2 / cutoff**3) / np.abs(spherical_jn(order + 1, row))
            for order, row in enumerate(zeros)
        ]
        self.max_l = max_l
        self.register_buffer("waves", torch.tensor(zeros / cutoff), persistent=False)
        self.register_buffer("norms", torch.tensor(np.array(norms)), persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        """Values: (*edges, 1) in Å → (*edges, max_l · max_n)."""
        columns = [
            _spherical_bessel(order, r @ self.waves[order : order + 1])
            for order in range(self.max_l)
        ]
        return torch.cat(columns, dim=-1) * self.norms.reshape(-1)


def _spherical_bessel(order: int, x: Tensor) -> Tensor:
    """j_l(x) by upward recurrence, j_{l+1} = (2l+1)/x · j_l − j_{l−1}."""
    inverse = 1.0 / x
    sine = torch.sin(x)
    current = sine * inverse
    if order == 0:
        return current
    previous, current = current, (current - torch.cos(x)) * inverse
    for n in range(1, order):
        previous, current = current, (2 * n + 1) * inverse * current - previous
    return current
