"""Mean squared displacements."""

from __future__ import annotations

import numpy as np

from m3compress.contract.arrays import BoolArray, FloatArray


def mean_squared_displacement(
    positions: FloatArray, masses: FloatArray, chosen: BoolArray | slice = slice(None)
) -> FloatArray:
    """⟨|x(t₀ + t) − x(t₀)|²⟩ over atoms and time origins, the centre of mass of all at rest.

    Args:
        positions: Not wrapped into the cell, in Å, shape (n_frames, n_atoms, 3).
        masses: Shape (n_atoms,).
        chosen: Over which atoms, shape (n_atoms,); all of them by default.

    Returns:
        In Å², for lags of 0 … n_frames − 1 frames.
    """
    centre = np.einsum("fax,a->fx", positions, masses) / masses.sum()
    x = (positions - centre[:, None, :])[:, chosen]
    n = len(x)
    # S₂ by the convolution theorem, S₁ by recursion (Calandrini et al., Collection SFN 12 (2011)).
    spectrum = np.fft.fft(x, n=2 * n, axis=0)
    products = np.fft.ifft(np.abs(spectrum) ** 2, axis=0)[:n].real.sum(axis=2)
    overlap = products / np.arange(n, 0, -1)[:, None]
    squares = (x**2).sum(axis=2)
    both = 2 * squares.sum(axis=0)
    first = np.zeros_like(overlap)
    for lag in range(n):
        if lag:
            both = both - squares[lag - 1] - squares[n - lag]
        first[lag] = both / (n - lag)
    return np.asarray((first - 2 * overlap).mean(axis=1))
