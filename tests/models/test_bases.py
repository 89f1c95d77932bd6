"""Radial and angular functions against scipy, quadrature, and matgl."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, sph_harm_y, spherical_jn

from m3compress.models.angular import legendre, solid_harmonics
from m3compress.models.radial import (
    BesselBasis,
    SmoothBasis,
    polynomial_cutoff,
    spherical_bessel_zeros,
)

CUTOFF = 5.0
TOLERANCE = 1e-12


def _distances(low: float = 0.4, high: float = CUTOFF, n: int = 57) -> torch.Tensor:
    return torch.linspace(low, high, n, dtype=torch.float64).unsqueeze(-1)


def _gram(basis: torch.nn.Module, cutoff: float) -> np.ndarray:
    """∫ b_m(r) b_n(r) r² dr over (0, cutoff) by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    r = (nodes + 1) * cutoff / 2
    values = basis(torch.tensor(r).unsqueeze(-1)).numpy()
    return np.einsum("r,rm,rn->mn", weights * cutoff / 2 * r**2, values, values)


def _unit_vectors(n: int = 60) -> np.ndarray:
    vectors = np.random.default_rng(4).normal(size=(n, 3))
    poles = np.array([[0, 0, 1.0], [0, 0, -1], [1, 0, 0], [0, -1, 0]])
    return np.concatenate([vectors / np.linalg.norm(vectors, axis=1, keepdims=True), poles])


@pytest.mark.parametrize(("size", "cutoff"), [(1, 5.0), (3, 5.0), (9, 4.5), (16, 6.0)])
def test_the_smooth_basis_is_orthonormal_and_flat_at_the_cutoff(size: int, cutoff: float) -> None:
    basis = SmoothBasis(size, cutoff)
    assert _gram(basis, cutoff) == pytest.approx(np.eye(size), abs=1e-10)
    edge = torch.tensor([[cutoff]], dtype=torch.float64)
    value, slope = torch.autograd.functional.jvp(basis, edge, torch.ones_like(edge))
    assert value.abs().max() < 1e-12
    assert slope.abs().max() < 1e-12


@pytest.mark.parametrize(("size", "cutoff"), [(3, 5.0), (12, 4.5)])
def test_the_smooth_basis_is_that_of_matgl(size: int, cutoff: float) -> None:
    matgl_basis = pytest.importorskip("matgl.layers._basis")
    r = _distances(high=cutoff)
    expected = matgl_basis.spherical_bessel_smooth(r.squeeze(-1), cutoff, size)
    torch.testing.assert_close(SmoothBasis(size, cutoff)(r), expected, rtol=0, atol=TOLERANCE)


def test_the_smooth_basis_is_that_of_matgls_symbolic_class() -> None:
    matgl_basis = pytest.importorskip("matgl.layers._basis")
    expected = matgl_basis.SphericalBesselFunction(1, 3, CUTOFF, smooth=True)
    r = _distances()
    torch.testing.assert_close(
        SmoothBasis(3, CUTOFF)(r), expected(r.squeeze(-1)), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize(("max_l", "max_n"), [(1, 1), (3, 3), (5, 2), (2, 6)])
def test_the_bessel_basis_is_that_of_scipy(max_l: int, max_n: int) -> None:
    r = _distances()
    found = BesselBasis(max_l, max_n, CUTOFF)(r).reshape(-1, max_l, max_n).numpy()
    zeros = spherical_bessel_zeros(max_l, max_n)
    for order in range(max_l):
        norm = np.sqrt(2 / CUTOFF**3) / np.abs(spherical_jn(order + 1, zeros[order]))
        expected = spherical_jn(order, r.numpy() * zeros[order] / CUTOFF) * norm
        assert found[:, order] == pytest.approx(expected, abs=1e-11)


def test_the_bessel_basis_is_orthonormal_within_each_order() -> None:
    gram = _gram(BesselBasis(4, 3, CUTOFF), CUTOFF)
    for order in range(4):
        block = slice(3 * order, 3 * order + 3)
        assert gram[block, block] == pytest.approx(np.eye(3), abs=1e-10)


def test_bessel_zeros_are_those_that_matgl_ships() -> None:
    matgl = pytest.importorskip("matgl")
    shipped = np.load(Path(matgl.__file__).parent / "utils" / "sb_roots.npy")
    assert spherical_bessel_zeros(12, 20) == pytest.approx(shipped[:12, :20], abs=1e-10)


def test_bessel_functions_vanish_at_their_zeros() -> None:
    for order, row in enumerate(spherical_bessel_zeros(7, 9)):
        assert np.abs(spherical_jn(order, row)).max() < 1e-14
        assert (np.diff(row) > 3).all(), "a zero was skipped or found twice"


def test_the_cutoff_polynomial_joins_zero_smoothly() -> None:
    r = torch.tensor([0.0, 2.0, 3.999999, 4.0, 4.5], dtype=torch.float64, requires_grad=True)
    value = polynomial_cutoff(r, 4.0)
    (slope,) = torch.autograd.grad(value.sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    assert value[0] == 1
    assert value[1].item() == pytest.approx(0.5)
    assert value[3:].tolist() == [0, 0]
    for derivative in (slope, curvature):
        assert derivative[2:].abs().max() < 1e-5
        assert derivative[4] == 0


def test_the_cutoff_polynomial_is_that_of_matgl() -> None:
    theirs = pytest.importorskip("matgl.utils.cutoff")
    r = _distances(0.0, 6.0)
    expected = theirs.polynomial_cutoff(r, 4.0)
    torch.testing.assert_close(polynomial_cutoff(r, 4.0), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("max_l", [1, 2, 3, 6])
def test_legendre_polynomials_are_those_of_scipy(max_l: int) -> None:
    x = np.linspace(-1, 1, 31)
    found = legendre(torch.tensor(x), max_l)
    assert len(found) == max_l
    for order, values in enumerate(found):
        assert values.numpy() == pytest.approx(eval_legendre(order, x), abs=TOLERANCE)


def test_solid_harmonics_are_those_of_scipy() -> None:
    max_l = 6
    unit = _unit_vectors()
    polar = np.arccos(np.clip(unit[:, 2], -1, 1))
    azimuth = np.arctan2(unit[:, 1], unit[:, 0])
    found = solid_harmonics(torch.tensor(unit), max_l).numpy()
    assert found.shape == (len(unit), max_l**2)
    for order in range(max_l):
        for m in range(-order, order + 1):
            complex_one = sph_harm_y(order, abs(m), polar, azimuth)
            part = complex_one.imag if m < 0 else complex_one.real
            phase = (-1) ** m * np.sqrt(2) if m else 1.0  # scipy's has the Condon-Shortley phase
            expected = phase * part * np.sqrt(4 * np.pi / (2 * order + 1))
            assert found[:, order**2 + order + m] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("order", range(7))
def test_solid_harmonics_fulfil_the_addition_theorem(order: int) -> None:
    unit = _unit_vectors()
    harmonics = solid_harmonics(torch.tensor(unit), 7)[:, order**2 : (order + 1) ** 2].numpy()
    cosines = np.clip(unit @ unit.T, -1, 1)
    assert harmonics @ harmonics.T == pytest.approx(eval_legendre(order, cosines), abs=1e-12)


def test_solid_harmonics_have_finite_slopes_on_the_poles() -> None:
    poles = torch.tensor([[0, 0, 1.0], [0, 0, -1]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(solid_harmonics(poles, 5).sum(), poles)
    assert torch.isfinite(slope).all()
