"""The plan of a distillation: which frames the user's structures give, and what they cost.

Every phase (a supercell of one of the structures) is strained and rattled, compressed, has its
atoms pulled together, and is driven by the teacher over a ladder of temperatures. What is held back
to validate and to test are trajectories between the rungs of the ladder, never frames of those that
are learned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.files import document_sha256
from m3compress.distill.data.plan import (
    CURVED,
    SPLITS,
    Group,
    Kind,
    Split,
    of_split,
    require_unique,
)
from m3compress.distill.data.sampler import Pairs, Sampler, Trajectory
from m3compress.distill.data.sampling import Sampling, between
from m3compress.errors import StructureError
from m3compress.models.structures.frames import Named, plain_values, require_periodic
from m3compress.models.structures.supercell import supercell_of

#: Raised when the same plan gives other frames.
_SAMPLER_VERSION: Final = 1
#: Frames of a group that is labelled at one go: what a killed run loses of it.
_GROUP_SIZE: Final = 20
#: Isolated pairs are looked at up to this part of the teacher's cutoff.
_PAIRS_TO: Final = 0.98
#: Timestep (fs) of dynamics by the mass (amu) of the lightest atom.
_TIMESTEPS: Final = ((3.0, 0.5), (10.0, 1.0), (math.inf, 1.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """All frames of a distillation.

    Attributes:
        groups: What is made together, each in one split.
        phases: Supercells by name.
        pairs: Isolated pairs by their symbols.
        sampling: How frames are made.
        trajectory: How trajectories are sampled.
        given: Structures of groups that are not made but given, by the names of these.
    """

    groups: tuple[Group, ...]
    phases: Mapping[str, Atoms]
    pairs: Mapping[str, Pairs]
    sampling: Sampling
    trajectory: Trajectory
    given: Mapping[str, Sequence[Atoms]] = field(default_factory=dict)

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the phases, sorted."""
        return tuple(sorted({symbol for atoms in self.phases.values() for symbol in atoms.symbols}))

    def with_given(self, given: Mapping[Group, Sequence[Atoms]]) -> DataPlan:
        """The plan and more groups, whose structures are given.

        Raises:
            M3CompressError: If two groups have one name.
        """
        groups = (*self.groups, *given)
        require_unique(groups)
        structures = {group.name: tuple(frames) for group, frames in given.items()}
        return replace(self, groups=groups, given={**self.given, **structures})

    def sampler(self, teacher: Evaluator, teacher_id: str, folder: Path) -> Sampler:
        """Makes the frames.

        Args:
            teacher: Labels them.
            teacher_id: Hash of what decides its numbers.
            folder: Where trajectories are kept.
        """
        return Sampler(
            teacher=teacher,
            teacher_id=teacher_id,
            folder=folder,
            parents={name: partial(atoms.copy) for name, atoms in self.phases.items()},
            pairs=self.pairs,
            largest_force=self.sampling.largest_force,
            distortion=self.sampling.distortion,
            trajectory=self.trajectory,
            wall=self.sampling.wall,
            given=self.given,
            curved=self.sampling.curved,
            seed=self.sampling.seed,
        )

    def contents(self, teacher_id: str) -> dict[str, str]:
        """What decides the frames of each group, hashed, by its name.

        Args:
            teacher_id: Hash of what decides the teacher's numbers.
        """
        how = {
            "version": _SAMPLER_VERSION,
            "teacher": teacher_id,
            "seed": self.sampling.seed,
            "largest_force": self.sampling.largest_force,
        }
        return {
            group.name: document_sha256({**how, **self._decides(group)}) for group in self.groups
        }

    def _decides(self, group: Group) -> dict[str, Any]:
        how: Any = {
            "distorted": self.sampling.distortion,
            "trajectory": self.trajectory,
            "pairs": self.pairs[group.parent] if group.kind == "pairs" else None,
            "compressed": self.sampling.wall,
            "close": self.sampling.wall,
        }.get(group.kind)
        document: dict[str, Any] = {"group": asdict(group), "how": how and asdict(how)}
        if self._is_curved(group):
            document["curved"] = True
        if group.name in self.given:
            document["given"] = [plain_values(atoms) for atoms in self.given[group.name]]
            return document
        if group.kind == "trajectory":
            document["start"] = asdict(self.sampling.distortion)
        atoms = self.phases.get(group.parent)
        if atoms is not None:
            document["parent"] = plain_values(atoms)
        return document

    def atoms_evaluated(self, group: Group) -> int:
        """Atoms × evaluations of the teacher that a group takes, if no frame is drawn again."""
        if group.kind == "pairs":
            return 2 * group.n_frames
        each = 3 if self._is_curved(group) else 1
        if group.name in self.given:
            return each * sum(len(atoms) for atoms in self.given[group.name])
        evaluations = each * group.n_frames
        if group.kind == "trajectory":
            evaluations += 1 + self.trajectory.skipped + group.n_frames * self.trajectory.stride
        return evaluations * len(self.phases[group.parent])

    def _is_curved(self, group: Group) -> bool:
        return self.sampling.curved and group.kind in CURVED

    def seconds(self, per_atom: float, n_workers: int, *, also: int = 0) -> float:
        """About how long all of it takes.

        Args:
            per_atom: Seconds of the teacher per atom and evaluation, on one thread.
            n_workers: Processes side by side.
            also: Atoms of other frames that are evaluated once.
        """
        costs = [self.atoms_evaluated(group) for group in self.groups]
        # The longest group runs on one worker, whatever the others do.
        return per_atom * max((sum(costs) + also) / max(1, n_workers), max(costs))

    def describe(self) -> list[str]:
        """What will be computed: a line for the phases, each split, and the whole."""
        sizes = ", ".join(
            f"{name} ({atoms.get_chemical_formula()})" for name, atoms in self.phases.items()
        )
        lines = [f"phases: {sizes}"]
        for split in SPLITS:
            groups = of_split(self.groups, split)
            counts = ", ".join(_counted(kind, groups) for kind in _WORDS if _of_kind(kind, groups))
            lines.append(f"{split}: {sum(group.n_frames for group in groups)} frames, {counts}")
        total = sum(self.atoms_evaluated(group) for group in self.groups)
        return [*lines, f"the teacher evaluates {total:,} atoms"]


def plan_data(structures: Sequence[Named], teacher_cutoff: float, sampling: Sampling) -> DataPlan:
    """The frames that structures give; nothing is computed.

    Args:
        structures: The user's phases, periodic in all directions.
        teacher_cutoff: Of the teacher in Å.
        sampling: How frames are made.

    Raises:
        StructureError: If there are no structures, or two have one name.
        M3CompressError: If the amounts leave a split empty.
    """
    if not structures:
        raise StructureError("there are no structures to make frames of")
    elements = sorted({symbol for entry in structures for symbol in entry.atoms.symbols})
    pairs = {
        "".join(pair): Pairs(
            shortest=sampling.wall.shortest,
            longest=_PAIRS_TO * teacher_cutoff,
            box=2 * teacher_cutoff + 1,
        )
        for pair in combinations_with_replacement(elements, 2)
    }
    phases = _phases(structures, set(pairs), sampling.n_atoms)
    groups = (*_learned(phases, pairs, sampling), *_held_back(phases, sampling))
    require_unique(groups)
    lightest = min(float(atoms.get_masses().min()) for atoms in phases.values())
    timestep = next(step for mass, step in _TIMESTEPS if lightest < mass)
    return DataPlan(
        groups=groups,
        phases=phases,
        pairs=pairs,
        sampling=sampling,
        trajectory=sampling.trajectory or replace(Trajectory(), timestep=timestep),
    )


def _phases(structures: Sequence[Named], taken: Set[str], n_atoms: int) -> dict[str, Atoms]:
    """Supercells by names that files can have, and that no pair of atoms has."""
    phases: dict[str, Atoms] = {}
    for entry in structures:
        name, atoms = re.sub(r"[^\w.+]+", "-", entry.name).strip("-.") or "phase", entry.atoms
        name += "-crystal" if name in taken else ""
        if name in phases:
            raise StructureError(f"two structures are called {name}", hint="give them names")
        require_periodic(atoms, entry.name)
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        phases[name] = supercell_of(bare, n_atoms)
    return phases


def _learned(phases: Mapping[str, Atoms], pairs: Mapping[str, Pairs], how: Sampling) -> list[Group]:
    amounts, groups = how.amounts, []
    walls: dict[Kind, int] = {"compressed": amounts.compressed, "close": amounts.close}
    n_steps = _share(amounts.trajectory, len(phases) * len(how.temperatures))
    for name in phases:
        left, index = _share(amounts.distorted, len(phases)), 0
        while left > 0:
            groups.append(_group("distorted", name, "train", min(left, _GROUP_SIZE), index=index))
            left, index = left - _GROUP_SIZE, index + 1
        groups += [
            _group("trajectory", name, "train", n_steps, temperature)
            for temperature in how.temperatures
        ]
        groups += [
            _group(kind, name, "train", _share(total, len(phases)))
            for kind, total in walls.items()
            if total
        ]
    if amounts.pairs:
        groups += [_group("pairs", pair, "train", amounts.pairs) for pair in pairs]
    return groups


def _held_back(phases: Mapping[str, Atoms], how: Sampling) -> list[Group]:
    """Trajectories to validate, at the middle of the ladder, and to test, everywhere in it."""
    middles = between(how.temperatures)
    watched: dict[Split, tuple[int, list[float]]] = {
        "validation": (how.amounts.validation, [middles[len(middles) // 2]]),
        "test": (how.amounts.test, middles),
    }
    return [
        _group("trajectory", name, split, _share(total, len(phases) * len(temperatures)), kelvin)
        for split, (total, temperatures) in watched.items()
        for name in phases
        for kelvin in temperatures
    ]


def _group(
    kind: Kind, parent: str, split: Split, n_frames: int, temperature: float = 0.0, index: int = 0
) -> Group:
    return Group(
        kind=kind,
        parent=parent,
        split=split,
        temperature=temperature,
        n_frames=n_frames,
        index=index,
    )


def _share(total: int, parts: int) -> int:
    """What each of so many parts gets, at least 1 of anything."""
    return math.ceil(total / parts)


_WORDS: Final[dict[Kind, str]] = {
    "trajectory": "of {} trajectories",
    "distorted": "strained and rattled",
    "compressed": "compressed",
    "close": "with close atoms",
    "pairs": "isolated pairs",
    "own": "of a student's own dynamics",
    "brought": "of the user's",
}


def _of_kind(kind: Kind, groups: Sequence[Group]) -> list[Group]:
    return [group for group in groups if group.kind == kind]


def _counted(kind: Kind, groups: Sequence[Group]) -> str:
    mine = _of_kind(kind, groups)
    words = _WORDS[kind].format(len(mine))
    if kind == "trajectory":
        kelvin = [group.temperature for group in mine]
        words += f" ({'–'.join(f'{one:g}' for one in sorted({min(kelvin), max(kelvin)}))} K)"
    return f"{sum(group.n_frames for group in mine)} {words}"
