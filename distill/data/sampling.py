"""How many frames a distillation makes of which kind, and how: the settings of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from m3compress.distill.data.distortions import Distortion
from m3compress.distill.data.sampler import Trajectory
from m3compress.errors import M3CompressError
from m3compress.models.structures.walls import Wall

_DISTORTION: Final = Distortion(volume=0.08, strain=0.03, rattle=(0.03, 0.22))


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Numbers of frames, of all phases together.

    Attributes:
        distorted: Strained and rattled.
        trajectory: Of trajectories that are learned.
        validation: Of those that are watched during the training.
        test: Of those that are never shown.
        compressed: Under high pressure.
        close: With two atoms pulled together.
        pairs: Isolated pairs of atoms, of every two elements.
    """

    distorted: int = 200
    trajectory: int = 640
    validation: int = 24
    test: int = 72
    compressed: int = 16
    close: int = 24
    pairs: int = 12

    def scaled(self, part: float) -> Amounts:
        """A part of the frames of trajectories, and five times that of the others.

        A frame of a trajectory takes some twenty evaluations, any other one takes one. Of each
        there is at least one, and no more than there was.
        """
        cheap = min(1.0, 5 * part)
        parts = {"trajectory": part, "validation": part, "test": part}
        return Amounts(
            **{
                name: max(1, round(parts.get(name, cheap) * n)) if n else 0
                for name, n in asdict(self).items()
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the frames are made.

    Attributes:
        temperatures: The ladder, in K.
        n_atoms: Smallest supercell.
        amounts: How many frames.
        distortion: Of strained and rattled crystals.
        wall: Of compressed and close ones.
        largest_force: Frames with a larger one (eV/Å) are left out; see
            :class:`~m3compress.distill.data.sampler.Sampler`. Between atoms of rutile that are
            0.5 Å apart, published M3GNets have 480 to 2,060, and DIEP 3,090 between an
            isolated O and Ti.
        trajectory: How trajectories are sampled; a timestep for the lightest atom if not given.
        curved: Whether the Hessian times a random direction is labelled, too.
        seed: Of everything random.
    """

    temperatures: tuple[float, ...] = (300.0, 600.0, 900.0, 1200.0)
    n_atoms: int = 48
    amounts: Amounts = field(default_factory=Amounts)
    distortion: Distortion = _DISTORTION
    wall: Wall = field(default_factory=Wall)
    largest_force: float = 5000.0
    trajectory: Trajectory | None = None
    curved: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperatures or not all(0 < t < math.inf for t in self.temperatures):
            raise M3CompressError(
                f"temperatures are {list(self.temperatures)}, expected positive ones in K"
            )
        if min(self.amounts.trajectory, self.amounts.validation, self.amounts.test) < 1:
            raise M3CompressError("a split needs trajectories, got none for one of them")


def ladder(lowest: float, highest: float, rungs: int = 4) -> tuple[float, ...]:
    """Evenly spaced temperatures in K."""
    return tuple(float(t) for t in np.linspace(lowest, highest, rungs).round(1))


def between(temperatures: Sequence[float]) -> list[float]:
    """Temperatures between the rungs of a ladder; that of the only rung if there is one."""
    rungs = sorted(set(temperatures))
    return [(low + high) / 2 for low, high in pairwise(rungs)] or rungs
