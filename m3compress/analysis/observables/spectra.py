"""The vibrational density of states, from velocities."""

from __future__ import annotations

import numpy as np

from m3compress.contract.arrays import FloatArray


def vibrational_spectrum(
    velocities: FloatArray, masses: FloatArray, spacing: float
) -> tuple[FloatArray, FloatArray]:
    """Power spectrum of the mass-weighted velocities, of unit area.

    A Hann window keeps the ends of the run from leaking into all frequencies. By the theorem of
    Wiener and Khinchin this is the Fourier transform of the velocity autocorrelation.

    Args:
        velocities: In any unit, shape (n_frames, n_atoms, 3).
        masses: Shape (n_atoms,).
        spacing: Time from frame to frame in fs.

    Returns:
        Frequencies in THz and the density per THz, shape (n_frames // 2 + 1,) both.
    """
    weighted = velocities * np.sqrt(masses)[None, :, None]
    weighted = weighted - weighted.mean(axis=0)
    window = np.hanning(len(weighted))[:, None, None]
    power = (np.abs(np.fft.rfft(weighted * window, axis=0)) ** 2).sum(axis=(1, 2))
    frequencies = np.fft.rfftfreq(len(weighted), d=spacing * 1e-3)
    area = power.sum() * (frequencies[1] - frequencies[0]) if len(frequencies) > 1 else 1.0
    return np.asarray(frequencies, np.float64), np.asarray(power / area if area > 0 else power)
