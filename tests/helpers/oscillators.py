"""Trajectories of a crystal of independent thermal oscillators, made up without any dynamics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from scipy.signal import lfilter

KELVIN, SPACING, N_FRAMES = 300.0, 10.0, 160
CARBIDE = bulk("SiC", "zincblende", a=4.36, cubic=True).repeat(2)

Frames = list[Atoms]
Change = Callable[[Frames], Frames]


def oscillate(rng: np.random.Generator, n_frames: int, n_atoms: int, thz: float) -> np.ndarray:
    """Stationary Gaussian noise of unit variance about a frequency, (n_frames, n_atoms, 3)."""
    decay, angle = 0.85, 2 * np.pi * thz * SPACING * 1e-3
    white = rng.normal(size=(n_frames + 100, n_atoms * 3))
    noise = lfilter([1], [1, -2 * decay * np.cos(angle), decay**2], white, axis=0)[100:]
    response = lfilter([1], [1, -2 * decay * np.cos(angle), decay**2], [1] + [0] * 400)
    return noise.reshape(n_frames, n_atoms, 3) / np.sqrt((response**2).sum())


def trajectory(structure: Atoms, seed: int, thz: float = 15.0, n_frames: int = N_FRAMES) -> Frames:
    """A crystal of independent thermal oscillators, at rest."""
    rng = np.random.default_rng(seed)
    masses = structure.get_masses()
    momenta = oscillate(rng, n_frames, len(structure), thz)
    momenta *= np.sqrt(masses * units.kB * KELVIN)[None, :, None]
    moved = 0.05 * oscillate(rng, n_frames, len(structure), thz)
    frames = []
    for i in range(n_frames):
        frame = structure.copy()
        frame.positions += moved[i]
        frame.set_momenta(momenta[i])
        frame.info = {
            "time_fs": SPACING * (i + 1),
            "potential_energy": -300.0,
            "kinetic_energy": frame.get_kinetic_energy(),
        }
        frames.append(frame)
    return frames


def conserved(frames: Frames, seed: int) -> Frames:
    """The same with a constant energy, to 0.05 meV/atom, and no net momentum."""
    rng = np.random.default_rng([seed, 1])
    for frame in frames:
        momenta = frame.get_momenta()
        frame.set_momenta(momenta - momenta.mean(axis=0))
        total = -300.0 + rng.normal() * 5e-5 * len(frame)
        frame.info["potential_energy"] = total - frame.info["kinetic_energy"]
    return frames


def breathing(frames: Frames, seed: int) -> Frames:
    """The same with a volume that fluctuates by 0.5 %."""
    swell = oscillate(np.random.default_rng([seed, 2]), len(frames), 1, 5.0)[:, 0, 0]
    for frame, x in zip(frames, swell, strict=True):
        frame.set_cell(frame.cell * (1 + 0.005 * x) ** (1 / 3), scale_atoms=True)
    return frames


def rounded(frames: Frames, seed: int) -> Frames:
    """The same as another order of summation would give it."""
    rng = np.random.default_rng([seed, 3])
    for frame in frames:
        frame.positions += 1e-5 * rng.normal(size=frame.positions.shape)
        frame.info["kinetic_energy"] *= 1 + 1e-6 * rng.normal()
    return frames


def lawful(index: int, factor: float) -> Frames:
    """Energy that fluctuates by 0.1 meV/atom at the longest time step."""
    frames = trajectory(CARBIDE, index, n_frames=100)
    for i, frame in enumerate(frames):
        frame.info["time_fs"] = 2.0 * (i + 1)
        wave = 1e-4 * len(frame) * factor**2 * np.sin(i)
        frame.info["potential_energy"] = wave - frame.info["kinetic_energy"]
    return frames
