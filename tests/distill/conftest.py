"""A small network, cheap teachers, frames and a whole plan that they labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from soft_spheres import CUTOFF, SIGMA, SPEC, evaluate

from m3compress.analysis.timing import Cost
from m3compress.contract.evaluation import Evaluation
from m3compress.distill import speed
from m3compress.distill.data.batches import fit_references, to_batch
from m3compress.distill.data.distortions import Distortion
from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.data.labels import curve, label
from m3compress.distill.data.phases import plan_data
from m3compress.distill.data.sampler import Trajectory
from m3compress.distill.data.sampling import Amounts, Sampling
from m3compress.distill.on_policy import round as rounds
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.pipeline import Distillation
from m3compress.distill.settings import DistillSettings
from m3compress.distill.students import Student
from m3compress.distill.teachers.examine import Candidate, examine
from m3compress.engines.calculators import CalculatorSpec
from m3compress.engines.dynamics.pool import run_here
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.readers.native import write_native
from m3compress.models.spec import ModelSpec
from m3compress.models.structures.frames import Named
from m3compress.models.structures.walls import Wall

WIDTH = 8


class SoftSpheres:
    """The same between all elements: an evaluator that costs nothing."""

    elements = ("O", "Si")
    cutoff = CUTOFF

    def evaluate(self, atoms: Atoms) -> Evaluation:
        return evaluate(atoms)


@pytest.fixture(scope="session")
def teacher() -> SoftSpheres:
    return SoftSpheres()


@pytest.fixture(scope="session")
def config() -> M3GNetConfig:
    return M3GNetConfig(
        elements=("O", "Si"),
        cutoff=4.0,
        three_body_cutoff=3.0,
        max_n=2,
        max_l=2,
        n_blocks=1,
        node_width=WIDTH,
        edge_width=WIDTH,
        hidden=(WIDTH, WIDTH),
        readout_hidden=(WIDTH, WIDTH, WIDTH),
        edge_basis="smooth",
        triplet_basis="smooth",
        edge_bias=True,
        message_activation="identity",
        convention=CONVENTIONS["matgl-4.1"],
    )


@pytest.fixture(scope="session")
def frames(teacher) -> list[Atoms]:
    """Six distorted crystals of 2 to 12 atoms, with curvatures: rocksalt SiO, and silicon."""
    rng = np.random.default_rng(11)
    salt = bulk("SiO", "rocksalt", a=4.5)
    parents = [salt.repeat((n, 1, 1)) for n in (1, 2, 3)]
    parents += [bulk("Si", a=4.9).repeat((n, 1, 1)) for n in (1, 2, 6)]
    made = [label(teacher, Distortion().apply(p, rng, rattle=0.05)) for p in parents]
    for frame in made:
        curve(teacher, frame, np.random.default_rng(len(frame)))
    return made


@pytest.fixture(scope="session")
def references(frames, config):
    return fit_references(frames, config.elements)


@pytest.fixture(scope="session")
def batches(frames, config, references):
    return [to_batch(frame, config, references) for frame in frames]


@pytest.fixture(scope="session")
def rocksalt() -> Named:
    return Named("salt", bulk("SiO", "rocksalt", a=4.5))


@pytest.fixture(scope="session")
def spheres(rocksalt):
    spec = CalculatorSpec.parse(SPEC.format(SIGMA), cutoff=CUTOFF)
    return examine(Candidate(name="spheres", spec=spec, precision="float64"), [rocksalt])


@pytest.fixture(scope="session")
def sampling() -> Sampling:
    """Few frames, small cells, short trajectories."""
    return Sampling(
        temperatures=(300.0, 600.0),
        n_atoms=8,
        amounts=Amounts(
            distorted=22, trajectory=4, validation=2, test=2, compressed=3, close=4, pairs=3
        ),
        wall=Wall(shortest=1.2),
        largest_force=1e6,
        trajectory=Trajectory(skipped=3, stride=2),
    )


@pytest.fixture(scope="session")
def plan(rocksalt, sampling):
    return plan_data([rocksalt], 4.0, sampling)


@pytest.fixture(scope="session")
def labelled(plan, spheres, tmp_path_factory) -> LabelStore:
    """All labels of the plan, made in this process; not to be changed."""
    store = LabelStore(tmp_path_factory.mktemp("labels"), plan, spheres)
    for group in plan.groups:
        store.make(group, spheres.open())
    return store


@pytest.fixture
def one_thread():
    """PyTorch on one thread: results that repeat to the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


#: One that matgl can hold, too.
STUDENT = Student(width=8, hidden=(8, 8), readout_hidden=(8, 8, 8), cutoff=4.0, max_n=2, max_l=2)


def export(potential, folder, name):
    """No file for an engine, but a model in its place."""
    model = folder / f"{name}.m3c.safetensors"
    if not model.exists():
        folder.mkdir(exist_ok=True)
        write_native(potential, model)
    return ModelSpec(path=str(model), form="factorized", precision="float32")


@pytest.fixture
def distillation(rocksalt, spheres, sampling, how, tmp_path):
    settings = DistillSettings(
        student=STUDENT, sampling=sampling, own=how, rounds=1, minutes=5.0, epochs=2
    )
    (tmp_path / "work").mkdir()
    return Distillation(
        teacher=spheres,
        structures=[rocksalt],
        settings=settings,
        work=tmp_path / "work",
        export=export,
    )


@pytest.fixture(scope="session")
def how():
    return OwnDynamics(learned=2, held_back=2, steps=40, every=5, judged=2, frames=4)


@pytest.fixture
def in_this_process(monkeypatch):
    """Labels and dynamics without processes of their own, which take seconds to begin."""

    def fill(store, n_workers, progress):
        for group in store.missing:
            store.make(group, store.teacher.open())

    def run_jobs(jobs, root, n_workers, progress):
        return [run_here(job, root) for job in jobs]

    def time_in_turn(candidates, atoms, n_rounds, **how):
        for candidate in candidates:
            candidate.open().evaluate(atoms)
        return [Cost((1.0,), (0.1 * row,), 1000) for row, _ in enumerate(candidates, 1)]

    monkeypatch.setattr(speed, "time_in_turn", time_in_turn)
    monkeypatch.setattr(LabelStore, "fill", fill)
    monkeypatch.setattr(rounds, "run_jobs", run_jobs)
