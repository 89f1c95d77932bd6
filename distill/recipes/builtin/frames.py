"""The frames of silicon and silica that train the built-in model, made from code alone.

Every frame is a distorted crystal, a step of a hot trajectory, or a pair of atoms in a large box.
Distorted crystals and pairs are to the last digit those that trained the weights in the package.
Trajectories are other ones at the same temperatures, with the same thermostat and spacing: at that
time, a loop of its own drove them, with other random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Final

from ase import Atoms
from ase.build import bulk, diamond100

from m3compress.contract.evaluation import Evaluator
from m3compress.distill.data.plan import SPLITS, Group, Split
from m3compress.distill.data.sampler import Pairs, Sampler
from m3compress.models.structures.crystals import build_crystal

#: Frames with a larger force than this (eV/Å) say nothing about any real trajectory.
LARGEST_FORCE: Final = 6.0

#: The isolated pairs, at so many distances each.
PAIRS: Final = {
    "SiSi": Pairs(shortest=1.5, longest=4.9),
    "SiO": Pairs(shortest=1.05, longest=4.9),
    "OO": Pairs(shortest=0.95, longest=4.9),
}
_N_DISTANCES: Final = 14

#: Lattice constant of silicon in Å. It and those of quartz and stishovite are not rounded as they
#: are in the zoo; the built-in model was trained with these, and its frames are to stay what they
#: were.
SILICON: Final = 5.43


def _vacancy() -> Atoms:
    atoms = bulk("Si", a=SILICON, cubic=True).repeat((2, 2, 1))
    del atoms[0]
    return atoms


def _slab() -> Atoms:
    atoms = diamond100("Si", (2, 2, 6), a=SILICON, vacuum=4.0)
    atoms.pbc = True
    return atoms


#: Crystals from which all frames descend, by name.
PARENTS: Final[dict[str, Callable[[], Atoms]]] = {
    "si-diamond": lambda: build_crystal("Si-diamond", SILICON).repeat(2),
    "si-beta-tin": lambda: build_crystal("Si-beta-tin").repeat((2, 1, 2)),
    "si-vacancy": _vacancy,
    "si-slab": _slab,
    "quartz": lambda: build_crystal("SiO2-quartz", 4.916, 5.4054).repeat((2, 2, 1)),
    "alpha-cristobalite": lambda: build_crystal("SiO2-alpha-cristobalite").repeat((2, 1, 1)),
    "beta-cristobalite": lambda: build_crystal("SiO2-beta-cristobalite"),
    "tridymite": lambda: build_crystal("SiO2-tridymite").repeat((2, 1, 1)),
    "stishovite": lambda: build_crystal("SiO2-stishovite", 4.1801, 2.6678).repeat((2, 1, 2)),
    "coesite": lambda: build_crystal("SiO2-coesite"),
}


def plan() -> list[Group]:
    """All groups: temperatures of held-back trajectories lie between those of the training."""
    distorted: dict[Split, int] = {"train": 20, "validation": 3, "test": 6}
    temperatures: dict[Split, tuple[int, ...]] = {
        "train": (300, 600, 900, 1200),
        "validation": (800,),
        "test": (450, 750, 1000),
    }
    steps: dict[Split, int] = {"train": 12, "validation": 4, "test": 4}
    groups = []
    for split, parent in product(SPLITS, PARENTS):
        groups.append(
            Group(kind="distorted", parent=parent, split=split, n_frames=distorted[split])
        )
        groups += [
            Group(
                kind="trajectory",
                parent=parent,
                split=split,
                temperature=temperature,
                n_frames=steps[split],
            )
            for temperature in temperatures[split]
        ]
    groups += [
        Group(kind="pairs", parent=pair, split="train", n_frames=_N_DISTANCES) for pair in PAIRS
    ]
    return groups


def sampler(teacher: Evaluator, teacher_id: str, folder: Path) -> Sampler:
    """Makes the frames of :func:`plan`; see :class:`~m3compress.distill.data.sampler.Sampler`."""
    return Sampler(
        teacher=teacher,
        teacher_id=teacher_id,
        folder=folder,
        parents=PARENTS,
        pairs=PAIRS,
        largest_force=LARGEST_FORCE,
    )
