"""Which frames to make: groups that belong together, each in one split.

A group depends on nothing but its own seed, so that an interrupted run goes on where it stopped.
All frames of a trajectory are in one group and therefore in one split: frames that follow each
other are alike, and a test that shares a trajectory with the training measures its memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from m3compress.errors import M3CompressError

Split = Literal["train", "validation", "test"]
#: Strained and rattled crystals, frames of a trajectory, isolated pairs of atoms, crystals under
#: high pressure, crystals in which two atoms were pulled together, frames of a student's own
#: dynamics, or frames that the user brings.
Kind = Literal["distorted", "trajectory", "pairs", "compressed", "close", "own", "brought"]
#: Kinds whose structures are not made but given.
GIVEN: Final = ("own", "brought")
#: Kinds whose curvatures are worth a label: of walls, they say nothing.
CURVED: Final = ("distorted", "trajectory", *GIVEN)
#: Kinds whose names would not tell them from others.
_NAMED: Final = ("compressed", "close", *GIVEN)
#: Kinds that are made at a temperature.
_HOT: Final = ("trajectory", "own")

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Frames that are made together.

    Attributes:
        kind: How they are made.
        parent: Name of what they descend from, in the :class:`~.sampler.Sampler` that makes them.
        split: What they are for.
        temperature: Of a trajectory, the teacher's or a student's, in K; 0 for other kinds.
        n_frames: How many.
        index: Tells it from others that are alike but for the random numbers.
    """

    kind: Kind
    parent: str
    split: Split
    temperature: float = 0.0
    n_frames: int
    index: int = 0

    def __post_init__(self) -> None:
        if (self.kind in _HOT) != (self.temperature > 0):
            raise M3CompressError(
                f"a trajectory has a temperature and nothing else has: "
                f"{self.parent}, {self.kind}, {self.temperature:g} K"
            )

    @property
    def name(self) -> str:
        """Unique in a plan, and the name of the file."""
        parts = [self.split, self.parent, f"{self.temperature:g}"]
        if self.kind in _NAMED:
            parts.append(self.kind)
        if self.index:
            parts.append(str(self.index))
        return "-".join(parts)

    @property
    def seed(self) -> int:
        """Seed of everything random in the group."""
        return zlib.crc32(self.name.encode())


def of_split(groups: Iterable[Group], split: Split) -> list[Group]:
    """The groups of a split, in the order of the plan."""
    return [group for group in groups if group.split == split]


def require_unique(groups: Sequence[Group]) -> None:
    """Refuse a plan in which two groups would be one file.

    Raises:
        M3CompressError: Naming the first name that occurs twice.
    """
    names = [group.name for group in groups]
    for name in names:
        if names.count(name) > 1:
            raise M3CompressError(f"two groups of frames are called {name}")
