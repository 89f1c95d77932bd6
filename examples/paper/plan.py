"""What the study runs: models, what is done to their three-body block, structures, and how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import ase.io
from ase import Atoms

from m3compress.engines.dynamics.job import Job
from m3compress.validate.setup.subject import TrainedSpec

#: The crystal whose O-Se and Se-Se distributions the paper shows.
SHOWN = "Tl2SeO4"
#: The trained model itself: the reference of every other arm.
FULL = "full"
#: The same with other seeds: what it differs from itself.
ITSELF = "full again"
FRACTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)
TEMPERATURE, TIMESTEP, SPACING = 300.0, 1.0, 10  # K, fs, steps from frame to frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model of the study.

    Attributes:
        name: In tables.
        folder: In the folder of checkpoints.
        pruned: Three-body form of which a fraction of the triplets is dropped: the one that the
            model was trained with.
        can_factorize: Whether an exact form without triplets exists for it.
    """

    name: str
    folder: str
    pruned: str
    can_factorize: bool

    def methods(self) -> dict[str, str]:
        """What is done to the block: name in tables → three-body form."""
        methods = {FULL: "native", ITSELF: "native"}
        if self.can_factorize:
            methods["factorised"] = "factorized"
        methods["removed"] = "removed"
        return methods | {f"pruned {p:g}": f"{self.pruned}={p:g}" for p in FRACTIONS}


MODELS = (
    Model(
        name="MatPES-r2SCAN (DGL era)",
        folder="M3GNet-MatPES-r2SCAN-v2025.1-PES",
        pruned="misrouted",
        can_factorize=False,
    ),
    Model(
        name="TensorFlow original",
        folder="M3GNet-MP-2021.2.8-EFS-tensorflow",
        pruned="pruned",
        can_factorize=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is run.

    Attributes:
        repeats: Cells of the crystal that is shown, and of the others.
        n_replicas: Independent runs of the crystal that is shown, and of the others.
        equilibration: Thermostatted time in ps.
        duration: Sampled time in ps of the crystal that is shown, and of the others.
        all_methods: Whether the others are run with every method, or without pruning.
    """

    repeats: tuple[tuple[int, int, int], tuple[int, int, int]]
    n_replicas: tuple[int, int]
    equilibration: float
    duration: tuple[float, float]
    all_methods: bool


REDUCED = Size(
    repeats=((2, 2, 1), (1, 1, 1)),
    n_replicas=(3, 2),
    equilibration=0.2,
    duration=(1.0, 0.3),
    all_methods=False,
)
#: The paper's own.
PAPER = Size(
    repeats=((5, 5, 5), (5, 5, 5)),
    n_replicas=(3, 3),
    equilibration=1.0,
    duration=(10.0, 10.0),
    all_methods=True,
)


@dataclass(frozen=True, slots=True)
class Arm:
    """Replicas of one model, in one form, of one crystal.

    Attributes:
        model: The model.
        method: What is done to the block.
        crystal: Name of the crystal.
        jobs: One per replica.
    """

    model: Model
    method: str
    crystal: str
    jobs: tuple[Job, ...]


def read_crystals(shared: Path) -> dict[str, Atoms]:
    """The ten crystals of the paper by name."""
    frames = ase.io.read(shared / "structures" / "paper_structures.extxyz", ":")
    return {str(frame.info["name"]): Atoms(frame) for frame in frames}


def specs_of(model: Model, shared: Path) -> dict[str, TrainedSpec]:
    """Subject of every method."""
    path = str(shared / "models" / model.folder)
    return {
        method: TrainedSpec(path=path, name=model.folder, form=form, precision="float32")
        for method, form in model.methods().items()
    }


def plan(shared: Path, crystals: dict[str, Atoms], size: Size) -> list[Arm]:
    """Every arm of the study.

    Args:
        shared: Folder with ``models``.
        crystals: Unit cells by name.
        size: How much.
    """
    return [
        Arm(model, method, name, tuple(_jobs(model, method, spec, name, crystals[name], size)))
        for model in MODELS
        for method, spec in specs_of(model, shared).items()
        for name in crystals
        if size.all_methods or name == SHOWN or not is_for_shown(method)
    ]


def is_for_shown(method: str) -> bool:
    """Whether the reduced study runs a method for the crystal that is shown alone."""
    return method == ITSELF or method.startswith("pruned")


def _jobs(
    model: Model, method: str, spec: TrainedSpec, name: str, cell: Atoms, size: Size
) -> Iterator[Job]:
    which = 0 if name == SHOWN else 1
    for replica in range(size.n_replicas[which]):
        label = f"{name}-{model.folder}-{method.replace(' ', '-')}-{replica}"
        yield Job(
            name=label,
            evaluator=spec,
            structure=Atoms(
                cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True
            ).repeat(size.repeats[which]),
            ensemble="npt",
            temperature=TEMPERATURE,
            timestep=TIMESTEP,
            equilibration=round(size.equilibration * 1e3 / TIMESTEP),
            steps=round(size.duration[which] * 1e3 / TIMESTEP / SPACING) * SPACING,
            every=SPACING,
            seed=crc32(label.encode()),
        )
