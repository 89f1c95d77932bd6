"""Small M3GNets trained on the same labels, with a part of their triplets dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from ase import Atoms

from m3compress.api import open_teacher
from m3compress.contract.files import write_atomically
from m3compress.contract.forms import FACTORIZED, MISROUTED, REMOVED, ThreeBodyForm
from m3compress.distill.data.batches import Batch, fit_references, to_batch
from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.data.phases import plan_data
from m3compress.distill.data.sampling import Amounts, Sampling
from m3compress.distill.losses import HuberLoss
from m3compress.distill.training.initial import initial_network
from m3compress.distill.training.loop import Settings, mean_errors, train
from m3compress.distill.training.memory import keep_memory
from m3compress.distill.training.recipe import Recipe
from m3compress.distill.training.run import begin
from m3compress.distill.training.schedule import Schedule
from m3compress.distill.training.step import eager_step
from m3compress.models.config import M3GNetConfig, convention
from m3compress.models.potential import Potential
from m3compress.models.readers.native import write_native
from m3compress.models.spec import ModelSpec
from m3compress.models.structures.crystals import build_crystal
from m3compress.models.structures.frames import Named

#: Its three-body block works: removing it moves forces of silica by a quarter.
TEACHER: Final = "builtin"
PHASES: Final = ("SiO2-quartz", "SiO2-alpha-cristobalite")
#: Where triplets find their bonds, and the convention in which they do; both sum on the centre.
ROUTINGS: Final = {"right": "matgl-4.1", "misrouted": "matgl-3"}
CUTOFF, THREE_BODY_CUTOFF = 5.0, 4.0  # Å, those of matgl: misrouting takes two different ones
TEMPERATURES = (300.0, 600.0, 900.0)  # K


def amounts(distorted: int, trajectory: int, validation: int, test: int) -> Amounts:
    """Frames without walls, which no trajectory of this study reaches."""
    return Amounts(
        distorted=distorted,
        trajectory=trajectory,
        validation=validation,
        test=test,
        compressed=0,
        close=0,
        pairs=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is done.

    Attributes:
        amounts: Labelled frames.
        dropped: Parts of the triplets that are dropped.
        n_seeds: Trainings of each.
        width: Features per atom and edge.
        steps: Of a training.
        n_atoms: Of the cell of the dynamics, at least.
        equilibration: Steps of it that are not looked at.
        sampled: Steps that are.
        every: Steps from one frame to the next.
        temperature: In K.
    """

    amounts: Amounts
    dropped: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    n_seeds: int = 3
    width: int = 16
    steps: int = 1000
    n_atoms: int = 36
    equilibration: int = 100
    sampled: int = 300
    every: int = 10
    temperature: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model of the study.

    Attributes:
        routing: A key of :data:`ROUTINGS`.
        dropped: Part of the triplets that is dropped, in training and afterwards.
        seed: Of weights and order of the frames.
    """

    routing: str
    dropped: float
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.routing}-{100 * self.dropped:.0f}-{self.seed}"

    @property
    def form(self) -> ThreeBodyForm:
        """How its block is trained and run: a hash of the atoms decides what is dropped."""
        if self.routing == "misrouted":
            return ThreeBodyForm(name=MISROUTED.name, fraction=self.dropped)
        if not self.dropped:
            return FACTORIZED  # the same as all triplets to rounding, and faster
        return ThreeBodyForm(name="pruned", fraction=self.dropped)

    @property
    def whole(self) -> ThreeBodyForm:
        """Its block with all triplets."""
        return FACTORIZED if self.routing == "right" else MISROUTED

    def spec(self, folder: Path) -> ModelSpec:
        """It, in any process."""
        path = folder / f"{self.name}.m3c.safetensors"
        return ModelSpec(path=str(path), form=self.form.text, precision="float32")


def models_of(size: Size) -> Iterator[Trained]:
    """All models of the study."""
    for routing in ROUTINGS:
        for dropped in size.dropped:
            for seed in range(size.n_seeds):
                yield Trained(routing=routing, dropped=dropped, seed=seed)


def labels_of(size: Size, work: Path) -> LabelStore:
    """The frames from which all learn, planned."""
    phases = [Named(name, build_crystal(name)) for name in PHASES]
    sampling = Sampling(temperatures=TEMPERATURES, n_atoms=9, amounts=size.amounts)
    teacher = open_teacher(TEACHER, phases, work)
    return LabelStore(work / "labels", plan_data(phases, teacher.cutoff, sampling), teacher)


def network_of(routing: str, width: int) -> M3GNetConfig:
    """Sizes of a network: those of a student, with the cutoffs of matgl."""
    return M3GNetConfig(
        elements=("O", "Si"),
        cutoff=CUTOFF,
        three_body_cutoff=THREE_BODY_CUTOFF,
        max_n=3,
        max_l=3,
        n_blocks=2,
        node_width=width,
        edge_width=width,
        hidden=(),
        readout_hidden=(width, width),
        edge_basis="smooth",
        triplet_basis="smooth",
        edge_bias=True,
        message_activation="identity",
        convention=convention(ROUTINGS[routing]),
    )


def learn(model: Trained, size: Size, store: LabelStore, folder: Path) -> None:
    """Train a model and measure it, unless that is done; a killed training goes on.

    Batches are one graph, as in matgl, so that misrouted triplets reach into other structures of a
    batch, and which triplets are dropped changes with the order of the frames.

    Args:
        model: Which one.
        size: How long.
        store: Labels, all there.
        folder: Gets checkpoint, model and ``NAME.json``.
    """
    result = folder / f"{model.name}.json"
    if result.exists():
        return
    keep_memory()
    torch.set_num_threads(1)
    config = network_of(model.routing, size.width)
    frames = store.read("train")
    references = fit_references(frames, config.elements)

    def batches(of: Sequence[Atoms]) -> list[Batch]:
        return [to_batch(frame, config, references) for frame in of]

    learned, settings = batches(frames), _settings(model, size)
    run = begin(
        initial_network(config, learned, seed=model.seed),
        references,
        decay=settings.decay,
        learning_rate=settings.schedule.learning_rate,
        optimizer="soap",
    )
    checkpoint = folder / f"{model.name}.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    step, held = eager_step(run.network, settings.loss), batches(store.read("validation"))
    train(run, step, learned, held, settings, checkpoint=checkpoint)
    potential = run.potential(model.form)
    write_native(potential, folder / f"{model.name}.m3c.safetensors", force=True)
    found = measure(potential, batches(store.read("test")), model)
    document = {**asdict(model), **found, "cpu_seconds": round(run.seconds, 1)}
    write_atomically(result, json.dumps(document, indent=1).encode())


def _settings(model: Trained, size: Size) -> Settings:
    """Those of a student."""
    recipe = Recipe()
    return Settings(
        schedule=Schedule(
            steps=size.steps, learning_rate=recipe.learning_rate, warm_up=recipe.warm_up
        ),
        loss=HuberLoss(terms=recipe.loss, form=model.form),
        decay=recipe.decay,
        seed=model.seed,
    )


def measure(potential: Potential, held: Sequence[Batch], model: Trained) -> dict[str, Any]:
    """Errors on the teacher's trajectories, a frame at a time, and what the block is worth.

    Args:
        potential: The model.
        held: Frames that it never saw.
        model: What it is.

    Returns:
        Errors with the triplets of the training, with all, and with none; how far forces move when
        the block is removed, in % (root mean square).
    """
    forms = {"trained": model.form, "all": model.whole, "none": REMOVED}
    network = potential.network
    errors = {name: mean_errors(network, held, form) for name, form in forms.items()}
    forces = {
        name: np.concatenate([one.predict(network, form).forces.numpy() for one in held])
        for name, form in forms.items()
    }
    return {
        "errors": errors,
        "share_percent": 100 * _rms(forces["trained"] - forces["none"]) / _rms(forces["trained"]),
    }


def _rms(values: Any) -> float:
    return float(np.sqrt(np.square(values).mean()))
