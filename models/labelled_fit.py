"""Which convention fits labelled frames: the same weights in each, compared with the labels.

Frames like those of the training tell readings apart where measured crystals cannot, as for weights
that were trained on in another convention than they began with: far from their new frames they
still behave as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential
from m3compress.models.structures.frames import Named
from m3compress.models.structures.labels import evaluated, spread

#: Another reading is out if it misses this part of the frames by more …
CLEAR_SHARE: Final = 0.75
#: … and all together by this many times more; or if, with so many standard errors to spare, what
#: the best one misses does not lie half-way to it, which takes at least so many frames.
CLEAR_MARGIN: Final = 1.5
HALF_WAY: Final = 0.5
N_STANDARD_ERRORS: Final = 3.0
FEWEST_FRAMES: Final = 6
#: Readings whose forces agree to this (eV/Å) are one: their three-body block is off.
SAME_FORCES: Final = 1e-3

_MOST_FRAMES: Final = 24
_N_SPARE: Final = 3  # energies more than zeros of energy


@dataclass(frozen=True, slots=True)
class Fit:
    """How one reading fits the labels.

    Attributes:
        name: The convention.
        missed: Forces minus labels in eV/Å, an array (n_atoms, 3) for each frame.
        energy_mae: In eV/atom, with the zero of every element fitted; None for too few frames.
    """

    name: str
    missed: tuple[FloatArray, ...]
    energy_mae: float | None = None

    @property
    def force_mae(self) -> float:
        """Mean absolute error of a force component in eV/Å."""
        return float(np.abs(np.concatenate(self.missed)).mean())

    def __str__(self) -> str:
        """One clause for messages."""
        energy = "" if self.energy_mae is None else f", energies by {self.energy_mae:.3g} eV/atom"
        return f"{self.name} misses forces by {self.force_mae:.3g} eV/Å{energy}"

    def to_json(self) -> dict[str, Any]:
        """Plain values for the evidence."""
        return {
            "n_frames": len(self.missed),
            "force_mae": self.force_mae,
            "energy_mae": self.energy_mae,
        }


def fit_labels(
    potential: Potential, conventions: Sequence[str], frames: Sequence[Named]
) -> tuple[Fit, ...]:
    """How each convention fits labelled frames, at most 24 of them.

    Args:
        potential: The weights, in any convention.
        conventions: Those to read them in.
        frames: With forces, and perhaps energies, as ASE's single-point results.

    Raises:
        StructureError: If a frame cannot be evaluated.
    """
    chosen = [frames[row] for row in spread(len(frames), _MOST_FRAMES)]
    fits = []
    for name in conventions:
        read = potential.with_convention(CONVENTIONS[name], {})
        found = [evaluated(read, named.atoms, named.name) for named in chosen]
        fits.append(_fit(name, chosen, found))
    return tuple(fits)


def _fit(name: str, frames: Sequence[Named], found: Sequence[Evaluation]) -> Fit:
    missed = tuple(
        result.forces - np.asarray(named.atoms.calc.results["forces"])
        for named, result in zip(frames, found, strict=True)
    )
    return Fit(name, missed, _energy_error(frames, found))


def _energy_error(frames: Sequence[Named], found: Sequence[Evaluation]) -> float | None:
    """Mean absolute error in eV/atom of what a fit of one energy for each element leaves."""
    labelled = [
        (named.atoms, result.energy - named.atoms.calc.results["energy"])
        for named, result in zip(frames, found, strict=True)
        if "energy" in named.atoms.calc.results
    ]
    symbols = sorted({symbol for atoms, _ in labelled for symbol in atoms.symbols})
    fractions = np.array([[np.mean(atoms.symbols == s) for s in symbols] for atoms, _ in labelled])
    if not labelled or len(labelled) < np.linalg.matrix_rank(fractions) + _N_SPARE:
        return None
    missed = np.array([error / len(atoms) for atoms, error in labelled])
    return float(np.abs(missed - fractions @ (np.linalg.pinv(fractions) @ missed)).mean())


def weigh_labels(fits: Sequence[Fit]) -> tuple[str | None, str]:
    """Decide between the readings.

    Args:
        fits: One for each convention among which the file leaves the choice, oldest first.

    Returns:
        The convention, or None if none fits clearly better, and the reason in words.
    """
    best, possible = _best(fits), not_ruled_out(fits)
    told = f"{len(best.missed)} labelled frames: {'; '.join(map(str, fits))}"
    same = [fit.name for fit in fits if _is_same(fit, best)]
    if set(possible) - set(same):
        return None, f"no reading fits them clearly better: {told}"
    if any(_denies(best, fit) for fit in fits if fit.name not in same):
        return None, f"their forces and their energies point to different readings: {told}"
    return same[-1], told


def not_ruled_out(fits: Sequence[Fit]) -> tuple[str, ...]:
    """Conventions whose forces do not fit clearly worse than the best ones."""
    best = _best(fits)
    return tuple(fit.name for fit in fits if fit is best or not _is_clear(best, fit))


def _best(fits: Sequence[Fit]) -> Fit:
    return min(fits, key=lambda fit: fit.force_mae)


def _is_same(one: Fit, other: Fit) -> bool:
    """Whether two readings differ in nothing but triplets that are off."""
    targets = {CONVENTIONS[fit.name].messages_to for fit in (one, other)}
    return len(targets) == 1 and _size(_apart(one, other)) <= SAME_FORCES


def _apart(one: Fit, other: Fit) -> list[FloatArray]:
    """Forces of one reading minus those of another, by frame."""
    return [a - b for a, b in zip(one.missed, other.missed, strict=True)]


def _size(arrays: Sequence[FloatArray]) -> float:
    return float(np.sqrt((np.concatenate(arrays) ** 2).mean()))


def _is_clear(best: Fit, rival: Fit) -> bool:
    apart = _apart(rival, best)
    if _size(apart) <= SAME_FORCES:
        return False
    pairs = zip(best.missed, rival.missed, strict=True)
    if np.mean([(ours**2).sum() < (its**2).sum() for ours, its in pairs]) < CLEAR_SHARE:
        return False
    if rival.force_mae >= CLEAR_MARGIN * best.force_mae:
        return True
    if len(apart) < FEWEST_FRAMES:
        return False
    # How far from the best reading to the rival the labels lie: 0 if it is the one that was
    # trained, 1 if the rival is, whatever either misses besides.
    along = np.array([-(m * d).sum() for m, d in zip(best.missed, apart, strict=True)])
    lengths = np.array([(d * d).sum() for d in apart])
    part = along.sum() / lengths.sum()
    scatter = ((along - part * lengths) ** 2).sum() * len(apart) / (len(apart) - 1)
    return bool(part + N_STANDARD_ERRORS * np.sqrt(scatter) / lengths.sum() < HALF_WAY)


def _denies(best: Fit, rival: Fit) -> bool:
    """Whether the energies say clearly that it is the rival."""
    if best.energy_mae is None or rival.energy_mae is None:
        return False
    return best.energy_mae >= CLEAR_MARGIN * rival.energy_mae
