"""The trajectories of a round: hot, at volumes that a simulation may visit, from every phase."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.distill.data.phases import DataPlan
from m3compress.distill.data.plan import Split
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.engines.dynamics.job import Job

#: Standard deviation of the displacements at the start in Å.
_RATTLE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrajectory:
    """A trajectory of a student.

    Attributes:
        parent: Phase that it starts from.
        split: ``train`` if frames of it may be learned, ``validation`` if not.
        temperature: In K.
        volume: Of the cell, as a part of its own.
        index: Tells it from all others of a distillation.
    """

    parent: str
    split: Split
    temperature: float
    volume: float
    index: int

    @property
    def name(self) -> str:
        """Unique in a distillation."""
        return f"own-{self.index}-{self.split}-{self.parent}-{self.temperature:g}"

    def job(self, plan: DataPlan, how: OwnDynamics, student: EvaluatorSpec) -> Job:
        """The run: Langevin dynamics, of which nothing is skipped."""
        seed = zlib.crc32(self.name.encode()) + plan.sampling.seed
        return Job(
            name=self.name,
            evaluator=student,
            structure=_started(plan.phases[self.parent], self.volume, seed),
            ensemble="nvt",
            temperature=self.temperature,
            timestep=plan.trajectory.timestep,
            equilibration=0,
            steps=how.steps,
            every=how.every,
            seed=seed,
            friction=plan.trajectory.friction,
        )


def own_trajectories(
    plan: DataPlan, how: OwnDynamics, number: int, splits: Sequence[Split]
) -> list[OwnTrajectory]:
    """The trajectories of a round; every phase has as many as any other.

    Those that are held back are all as hot as it gets, and twice as many where nothing is learned,
    which is the last look; every third of the others is at the highest temperature of the
    teacher's.

    Args:
        plan: Which phases, how hot.
        how: How far.
        number: Of the round, from 1.
        splits: ``train`` for those that may be learned, ``validation`` for those that judge.
    """
    highest = max(plan.sampling.temperatures)
    hottest = round(how.hotter * highest, 1)
    kelvin = {"train": (hottest, hottest, highest), "validation": (hottest,)}
    held_back = how.held_back if "train" in splits else 2 * how.held_back
    counts = {"train": how.learned, "validation": held_back}
    found: list[OwnTrajectory] = []
    for split in splits:
        each = math.ceil(counts[split] / len(plan.phases))
        for parent in plan.phases:
            ways = zip(
                islice(cycle(how.volumes), each), islice(cycle(kelvin[split]), each), strict=True
            )
            found += [
                OwnTrajectory(
                    parent=parent,
                    split=split,
                    temperature=temperature,
                    volume=volume,
                    index=1000 * number + len(found) + row,
                )
                for row, (volume, temperature) in enumerate(ways)
            ]
    return found


def _started(phase: Atoms, volume: float, seed: int) -> Atoms:
    atoms = phase.copy()
    atoms.set_cell(atoms.cell.array * volume ** (1 / 3), scale_atoms=True)
    rng = np.random.default_rng([seed, 2])
    atoms.positions += rng.normal(0, _RATTLE, atoms.positions.shape)
    return atoms
