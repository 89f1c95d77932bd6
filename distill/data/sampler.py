"""Makes the frames of a group: distorted and compressed crystals, hot trajectories, close pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.distill.data.distortions import Distortion
from m3compress.distill.data.labels import curve, label, largest_force
from m3compress.distill.data.plan import CURVED, GIVEN, Group
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.loaded import Loaded
from m3compress.engines.dynamics.pool import run_here
from m3compress.errors import StructureError
from m3compress.models.structures.walls import Wall, compressed, pulled_together, rising

#: A draw with too large forces is repeated with displacements this much smaller,
_GENTLER = 0.8
#: and no more than so often: without any rattle, it is the parent whose forces are too large.
_MOST_DRAWS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """How Langevin dynamics from a slightly distorted crystal are sampled.

    Attributes:
        timestep: In fs.
        friction: In 1/fs; the default thermalises within the 60 fs that are skipped.
        skipped: Steps before the first frame is near.
        stride: Steps from one frame to the next, and from the skipped ones to the first.
        rattle: Standard deviation of the displacements at the start in Å.
    """

    timestep: float = 1.5
    friction: float = 0.05
    skipped: int = 40
    stride: int = 20
    rattle: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Distances of two atoms in a large cubic box, evenly spaced in their logarithm.

    Attributes:
        shortest: In Å.
        longest: In Å.
        box: Edge of the box in Å: more than the longest distance and the teacher's cutoff together.
    """

    shortest: float
    longest: float
    box: float = 11.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """Where the frames of a plan come from.

    Attributes:
        teacher: Labels the frames, and drives the trajectories.
        teacher_id: What tells the teacher from another one, such as the hash of its weights.
        folder: Where trajectories are kept, so that an interrupted one goes on.
        parents: Crystals by name.
        pairs: Isolated pairs by their two symbols, such as ``SiO``.
        largest_force: Frames with a larger force (eV/Å), or of which the teacher has nothing finite
            to say, say nothing about any real trajectory: distorted crystals are drawn again, more
            gently, and all others but those of trajectories are left out.
        distortion: Of distorted crystals; strain and volume also of the start of trajectories.
        trajectory: How trajectories are sampled.
        wall: How far crystals are compressed and pairs of atoms pulled together.
        given: Structures of groups that are not made but given, by the names of these.
        curved: Whether to label curvatures, too; walls have none.
        seed: Added to the seeds of all groups.
    """

    teacher: Evaluator
    teacher_id: str
    folder: Path
    parents: Mapping[str, Callable[[], Atoms]]
    pairs: Mapping[str, Pairs] = field(default_factory=dict)
    largest_force: float = math.inf
    distortion: Distortion = field(default_factory=Distortion)
    trajectory: Trajectory = field(default_factory=Trajectory)
    wall: Wall = field(default_factory=Wall)
    given: Mapping[str, Sequence[Atoms]] = field(default_factory=dict)
    curved: bool = False
    seed: int = 0

    def __call__(self, group: Group) -> list[Atoms]:
        """The labelled frames of a group; ``info["group"]`` is its name.

        Raises:
            StructureError: If the group's parent is not known, has too large forces by itself, or
                its trajectory broke.
        """
        self._require_known(group)
        makers = {
            "distorted": self._distorted,
            "trajectory": self._steps,
            "pairs": self._pairs,
            "compressed": self._compressed,
            "close": self._close,
            "own": self._given,
            "brought": self._given,
        }
        frames = list(makers[group.kind](group))
        rng = np.random.default_rng([group.seed + self.seed, 3])
        for frame in frames:
            frame.info["group"] = group.name
            if self.curved and group.kind in CURVED:
                curve(self.teacher, frame, rng)
        return frames

    def _require_known(self, group: Group) -> None:
        name = group.parent
        known: Mapping[str, object] = self.pairs if group.kind == "pairs" else self.parents
        if group.kind in GIVEN:
            name, known = group.name, self.given
        if name not in known:
            raise StructureError(
                f"there is nothing called {name} to make {group.kind} frames of",
                hint=f"choose from {', '.join(known) or 'none'}",
            )

    def _given(self, group: Group) -> Iterator[Atoms]:
        for number, atoms in enumerate(self.given[group.name]):
            frame = self._calm(atoms)
            if frame is not None:
                frame.info["number"] = number
                yield frame

    def _distorted(self, group: Group) -> Iterator[Atoms]:
        rng = np.random.default_rng(group.seed + self.seed)
        parent = self.parents[group.parent]()
        for _ in range(group.n_frames):
            rattle = self.distortion.draw_rattle(rng)
            for _ in range(_MOST_DRAWS):
                frame = self._calm(self.distortion.apply(parent, rng, rattle=rattle))
                if frame is not None:
                    break
                rattle *= _GENTLER
            else:
                raise StructureError(
                    f"{group.parent} has forces beyond {self.largest_force:g} eV/Å, or none that "
                    "are finite, however gently it is distorted",
                    hint="relax it, distort it less, or allow larger forces",
                )
            yield frame

    def _calm(self, atoms: Atoms) -> Atoms | None:
        """The labelled structure; None if its forces are too large, or not finite."""
        try:
            frame = label(self.teacher, atoms)
        except StructureError:
            return None
        return frame if largest_force(frame) <= self.largest_force else None

    def _steps(self, group: Group) -> Iterator[Atoms]:
        how, rng = self.trajectory, np.random.default_rng(group.seed + self.seed)
        parent = self.parents[group.parent]()
        job = Job(
            name=group.name,
            evaluator=Loaded(evaluator=self.teacher, content=self.teacher_id),
            structure=self.distortion.apply(parent, rng, rattle=how.rattle),
            ensemble="nvt",
            temperature=group.temperature,
            timestep=how.timestep,
            equilibration=how.skipped,
            steps=group.n_frames * how.stride,
            every=how.stride,
            seed=group.seed + self.seed,
            friction=how.friction,
        )
        run = run_here(job, self.folder, self.teacher)
        if run.broken is not None:
            raise StructureError(
                f"the trajectory {group.name} broke: {run.broken}",
                hint="lower its temperature, or take it out of the plan",
            )
        for frame in run.frames:
            yield label(self.teacher, frame)

    def _pairs(self, group: Group) -> Iterator[Atoms]:
        how = self.pairs[group.parent]
        found = []
        for distance in np.geomspace(how.shortest, how.longest, group.n_frames):
            positions = [(1, 1, 1), (1, 1, 1 + distance)]
            frame = self._calm(Atoms(group.parent, positions=positions, cell=[how.box] * 3))
            if frame is not None:
                found.append((float(distance), frame))
        one, other = Atoms(group.parent).symbols
        yield from _on_rising_wall((one, other), found)

    def _compressed(self, group: Group) -> Iterator[Atoms]:
        rng = np.random.default_rng(group.seed + self.seed)
        parent = self.parents[group.parent]()
        for part in np.geomspace(*self.wall.volumes, group.n_frames):
            frame = self._calm(compressed(parent, float(part), self.wall.rattle, rng))
            if frame is not None:
                yield frame

    def _close(self, group: Group) -> Iterator[Atoms]:
        rng = np.random.default_rng(group.seed + self.seed)
        parent = self.parents[group.parent]()
        found: dict[tuple[str, str], list[tuple[float, Atoms]]] = {}
        for pair, part in self.wall.draws(sorted(set(parent.symbols)), group.n_frames):
            pulled = pulled_together(parent, pair, self.wall, part, rng)
            frame = None if pulled is None else self._calm(pulled.atoms)
            if pulled is not None and frame is not None:
                found.setdefault(pair, []).append((pulled.distance, frame))
        for pair, frames in found.items():
            yield from _on_rising_wall(pair, frames)


def _on_rising_wall(pair: tuple[str, str], found: Sequence[tuple[float, Atoms]]) -> Iterator[Atoms]:
    """Frames of two atoms at such distances, but for those in a hole of the teacher."""
    energies = [float(frame.get_potential_energy()) for _, frame in found]
    sound = rising(pair, [distance for distance, _ in found], energies)
    yield from (frame for (_, frame), kept in zip(found, sound, strict=True) if kept)
