"""Frames of silicon and silica for training the built-in model, made from code alone.

Every frame is a distorted crystal, a step of a hot trajectory, or a pair of atoms in a large box,
and carries the energy, forces and stress of a label potential. Frames come in groups; each group is
one file and depends on nothing but its own seed, so that an interrupted run goes on where it
stopped and held-back groups share no trajectory with training groups.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk, diamond100
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from m3compress.models.builtin.calculator import TorchCalculator
from m3compress.models.potential import Potential
from m3compress.models.structures.crystals import build_crystal

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")

#: Frames with a larger force than this (eV/Å) say nothing about any real trajectory.
LARGEST_FORCE = 6.0

#: Distances (Å) of the isolated pairs: (shortest, longest, how many).
PAIRS = {"SiSi": (1.5, 4.9, 14), "SiO": (1.05, 4.9, 14), "OO": (0.95, 4.9, 14)}

_TIMESTEP = 1.5  # fs
_FRICTION = 0.05  # 1/fs: thermalises within the 60 fs that are skipped
_SKIPPED_STEPS = 40
_STRIDE = 20


#: Lattice constant of silicon in Å. It and those of quartz and stishovite are not rounded as in the
#: zoo: the built-in model was trained with these, and its frames are to stay what they were.
SILICON = 5.43


def quartz() -> Atoms:
    """Alpha-quartz (P3₁21), 9 atoms, with c to one more digit than in the zoo."""
    return build_crystal("SiO2-quartz", 4.916, 5.4054)


def _without(atoms: Atoms, symbol: str) -> Atoms:
    del atoms[[int(np.flatnonzero(atoms.symbols == symbol)[0])]]
    return atoms


def _slab() -> Atoms:
    atoms = diamond100("Si", (2, 2, 6), a=SILICON, vacuum=4.0)
    atoms.pbc = True
    return atoms


#: Crystals from which all frames descend, by name.
PARENTS: dict[str, Callable[[], Atoms]] = {
    "si-diamond": lambda: build_crystal("Si-diamond", SILICON).repeat(2),
    "si-beta-tin": lambda: build_crystal("Si-beta-tin").repeat((2, 1, 2)),
    "si-vacancy": lambda: _without(bulk("Si", a=SILICON, cubic=True).repeat((2, 2, 1)), "Si"),
    "si-slab": _slab,
    "quartz": lambda: quartz().repeat((2, 2, 1)),
    "alpha-cristobalite": lambda: build_crystal("SiO2-alpha-cristobalite").repeat((2, 1, 1)),
    "beta-cristobalite": lambda: build_crystal("SiO2-beta-cristobalite"),
    "tridymite": lambda: build_crystal("SiO2-tridymite").repeat((2, 1, 1)),
    "stishovite": lambda: build_crystal("SiO2-stishovite", 4.1801, 2.6678).repeat((2, 1, 2)),
    "coesite": lambda: build_crystal("SiO2-coesite"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Frames that are made together.

    Attributes:
        parent: Name of the crystal in :data:`PARENTS`, or of the pair in :data:`PAIRS`.
        split: Which of :data:`SPLITS` the frames belong to.
        temperature: Of the trajectory in K; 0 for distorted crystals, −1 for isolated pairs.
        n_frames: How many frames.
    """

    parent: str
    split: str
    temperature: float
    n_frames: int

    @property
    def name(self) -> str:
        """Unique name, which is also the name of the file."""
        return f"{self.split}-{self.parent}-{self.temperature:g}"

    @property
    def seed(self) -> int:
        """Seed of everything random in the group."""
        return zlib.crc32(self.name.encode())


def plan() -> list[Group]:
    """All groups: temperatures of held-back trajectories lie between those of the training."""
    distorted = {"train": 20, "validation": 3, "test": 6}
    temperatures = {"train": (300, 600, 900, 1200), "validation": (800,), "test": (450, 750, 1000)}
    steps = {"train": 12, "validation": 4, "test": 4}
    groups = []
    for split, parent in product(SPLITS, PARENTS):
        groups.append(Group(parent=parent, split=split, temperature=0, n_frames=distorted[split]))
        groups += [
            Group(parent=parent, split=split, temperature=temperature, n_frames=steps[split])
            for temperature in temperatures[split]
        ]
    for pair, (_, _, count) in PAIRS.items():
        groups.append(Group(parent=pair, split="train", temperature=-1, n_frames=count))
    return groups


def distort(parent: Atoms, rng: np.random.Generator, *, rattle: float) -> Atoms:
    """A strained and rattled copy.

    Args:
        parent: A crystal.
        rng: Source of randomness.
        rattle: Standard deviation of every Cartesian displacement in Å.

    Returns:
        A copy with its volume changed by up to ±6 %, strained by up to ±3 % and rattled.
    """
    strain = rng.uniform(-0.03, 0.03, (3, 3))
    strain = (strain + strain.T) / 2
    strain -= np.eye(3) * np.trace(strain) / 3
    scale = (1 + rng.uniform(-0.06, 0.06)) ** (1 / 3)
    atoms = parent.copy()
    atoms.set_cell(atoms.cell.array @ (scale * (np.eye(3) + strain)), scale_atoms=True)
    atoms.positions += rng.normal(0, rattle, atoms.positions.shape)
    return atoms


def _distorted(group: Group, reference: Potential) -> Iterator[Atoms]:
    """Rattles of 0.02–0.20 Å, evenly in the logarithm; a violent draw is repeated more gently."""
    rng = np.random.default_rng(group.seed)
    parent = PARENTS[group.parent]()
    for _ in range(group.n_frames):
        rattle = float(np.exp(rng.uniform(np.log(0.02), np.log(0.20))))
        atoms = label(reference, distort(parent, rng, rattle=rattle))
        while _violent(atoms):
            rattle *= 0.8
            atoms = label(reference, distort(parent, rng, rattle=rattle))
        yield atoms


def _trajectory(group: Group, reference: Potential) -> Iterator[Atoms]:
    rng = np.random.default_rng(group.seed)
    atoms = distort(PARENTS[group.parent](), rng, rattle=0.02)
    atoms.calc = TorchCalculator(reference)
    MaxwellBoltzmannDistribution(atoms, temperature_K=group.temperature, rng=rng)
    dynamics = Langevin(
        atoms,
        _TIMESTEP * units.fs,
        temperature_K=group.temperature,
        friction=_FRICTION / units.fs,
        rng=rng,
    )
    dynamics.run(_SKIPPED_STEPS)
    for _ in range(group.n_frames):
        dynamics.run(_STRIDE)
        yield label(reference, atoms)


def _pairs(group: Group, reference: Potential) -> Iterator[Atoms]:
    shortest, longest, count = PAIRS[group.parent]
    for distance in np.geomspace(shortest, longest, count):
        atoms = Atoms(group.parent, positions=[(1, 1, 1), (1, 1, 1 + distance)], cell=[11.0] * 3)
        labelled = label(reference, atoms)
        if not _violent(labelled):
            yield labelled


def label(reference: Potential, atoms: Atoms) -> Atoms:
    """A bare copy that carries the reference's energy, forces and stress."""
    frame = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    frame.calc = TorchCalculator(reference)
    energy, forces, stress = frame.get_potential_energy(), frame.get_forces(), frame.get_stress()
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces, stress=stress)
    return frame


def _violent(atoms: Atoms) -> bool:
    return bool(np.linalg.norm(atoms.get_forces(), axis=1).max() > LARGEST_FORCE)


def make_group(group: Group, reference: Potential) -> list[Atoms]:
    """The labelled frames of one group."""
    makers = {0: _distorted, -1: _pairs}
    frames = list(makers.get(int(group.temperature), _trajectory)(group, reference))
    for frame in frames:
        frame.info["group"] = group.name
    return frames


def make_frames(reference: Potential, directory: Path) -> None:
    """Make and label all frames that ``directory`` does not hold yet, one file for each group."""
    directory.mkdir(parents=True, exist_ok=True)
    groups = plan()
    for index, group in enumerate(groups):
        target = directory / f"{group.name}.extxyz"
        if target.exists():
            continue
        partial = target.with_suffix(".partial")
        write(partial, make_group(group, reference), format="extxyz")
        partial.replace(target)
        logger.info("frames %d/%d: %s", index + 1, len(groups), group.name)


def read_frames(directory: Path, split: str) -> list[Atoms]:
    """The labelled frames of a split, in the order of the plan."""
    groups = [group for group in plan() if group.split == split]
    frames: list[Atoms] = []
    for group in groups:
        frames += read(directory / f"{group.name}.extxyz", index=":", format="extxyz")
    return frames
