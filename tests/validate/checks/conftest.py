"""A subject that is right and quick, to be broken in one way at a time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Check
from m3compress.validate.result import Measurement, Verdict, judge
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.subject import TrainedSpec, exported

LIMITS = read_limits("smoke")
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


class PairSubject:
    """φ(r) = 10 (1 − x)⁴ (1 − 2x) eV with x = r / 5 Å: smooth, local, and with all symmetries."""

    elements = ("O", "Si")
    cutoff = 5.0
    three_body_cutoff = 4.0
    receptive_field = 5.0

    def __init__(self, spec: Any = None) -> None:
        self.spec = spec or Spec(self)

    def phi(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """φ in eV and dφ/dr in eV/Å."""
        x = r / self.cutoff
        slope = -4 * (1 - x) ** 3 * (1 - 2 * x) - 2 * (1 - x) ** 4
        return 10 * (1 - x) ** 4 * (1 - 2 * x), 10 * slope / self.cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        edges, vectors = find_edges(atoms, self.cutoff)
        lengths = np.linalg.norm(vectors, axis=1)
        value, slope = self.phi(lengths)
        energies = np.bincount(edges.centers, value / 2, minlength=len(atoms)) - 3.0
        pulls = (slope / 2 / lengths)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, edges.centers, pulls)
        np.subtract.at(forces, edges.neighbors, pulls)
        return Evaluation(
            energy=float(energies.sum()),
            energies=energies,
            forces=forces,
            virial=vectors.T @ pulls,
        )

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        return self.evaluate(atoms)


@dataclass
class Spec:
    """Opens what it was made of; ``per_thread`` is called with the number of threads."""

    subject: Any = None
    kind: str = "model"
    path: str = "nowhere"
    precision: str = "float64"
    threads: int = 1
    per_thread: Callable[[int], Any] | None = None
    opened: list[int] = field(default_factory=list)

    def with_threads(self, threads: int) -> Spec:
        return replace(self, threads=threads)

    def open(self) -> Any:
        return self.per_thread(self.threads) if self.per_thread else self.subject


#: What is different about an evaluation: fields of :class:`Evaluation`.
Change = Callable[[Atoms, Evaluation], dict[str, Any]]


class Changed(PairSubject):
    """The pair potential with its evaluation, or that of shuffled neighbours, changed."""

    def __init__(self, change: Change | None = None, shuffled: Change | None = None) -> None:
        super().__init__()
        self.change = change
        self.shuffled = shuffled

    def evaluate(self, atoms: Atoms) -> Evaluation:
        result = super().evaluate(atoms)
        return replace(result, **self.change(atoms, result)) if self.change else result

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        result = self.evaluate(atoms)
        return replace(result, **self.shuffled(atoms, result)) if self.shuffled else result


class WithPhi(PairSubject):
    """Another pair function: ``phi(r)`` gives energies (eV) and slopes (eV/Å)."""

    def __init__(self, phi: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self.phi = phi


# Test modules cannot import this one, so they get its classes as fixtures.
@pytest.fixture
def pair_subject() -> PairSubject:
    return PairSubject()


@pytest.fixture
def changed() -> type[Changed]:
    return Changed


@pytest.fixture
def with_phi() -> type[WithPhi]:
    return WithPhi


@pytest.fixture(scope="session")
def small_zoo(silica_zoo: tuple[Named, ...]) -> tuple[Named, ...]:
    """A few structures of all kinds."""
    names = ("Si-diamond-rattled", "SiO2-quartz-rattled", "expanded-0", "slab", "molecule")
    found = tuple(entry for entry in silica_zoo if entry.name in (*names, "made-up-fcc"))
    assert len(found) == len(names) + 1
    return found


@pytest.fixture
def fake_gate(
    make_context: Callable[..., Context], small_zoo: tuple[Named, ...]
) -> Callable[[Any], Context]:
    """A gate whose reference is the pair potential: ``fake_gate(candidate)``."""

    def make(subject: Any) -> Context:
        return make_context(subject.spec, PairSubject().spec, zoo=small_zoo)

    return make


Outcome = tuple[Verdict, Measurement]


@pytest.fixture(scope="session")
def run_check() -> Callable[..., Outcome]:
    """``run_check(checks, id, gate, subject)``: the worst verdict and its measurement."""
    order = list(Verdict)

    def run(checks: tuple[Check, ...], name: str, context: Context, subject: Any) -> Outcome:
        (check,) = (check for check in checks if check.id == name)
        judged = [(judge(m, LIMITS[name]), m) for m in check.run(context, subject)]
        bad = [pair for pair in judged if pair[0] in (Verdict.ERROR, Verdict.FAIL)]
        return max(bad or judged, key=lambda pair: order.index(pair[0]))

    return run


@dataclass(frozen=True, kw_only=True)
class OpenedSpec(TrainedSpec):
    """The spec of a subject that is there already."""

    subject: Any = None

    def open(self) -> Any:
        return self.subject


@pytest.fixture
def opened_spec() -> Callable[[Any], OpenedSpec]:
    """The spec of a subject: ``opened_spec(subject)``."""
    return lambda subject: OpenedSpec(path="opened", subject=subject)


@pytest.fixture
def twin_gate(make_context: Callable[..., Context]) -> Callable[..., Context]:
    """A gate whose reference and twin are the pair potential: ``twin_gate(candidate)``."""

    def make(candidate: Any, **fields: Any) -> Context:
        right = PairSubject()
        return make_context(
            OpenedSpec(path="candidate", subject=candidate),
            OpenedSpec(path="reference", subject=right),
            twin=OpenedSpec(path="twin", name="twin", subject=right),
            **{"zoo": (), **fields},
        )

    return make


@pytest.fixture
def real_gate(
    make_context: Callable[..., Context], builtin_spec: TrainedSpec
) -> Callable[..., Context]:
    """``real_gate(path, **fields)``: an exported file against the built-in model."""

    def make(path: Path, **fields: Any) -> Context:
        twin = replace(builtin_spec, name="twin")
        return make_context(exported(path, threads=1), twin=twin, **fields)

    return make


@pytest.fixture
def attacked(monkeypatch, silica_artefact, tmp_path, make_context):
    """``attacked(names)``: contexts of the files that benchmarks/attacks makes by these names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def contexts(names: set[str]) -> dict[str, Context]:
        table = {row.name: row for row in importlib.import_module("attacks.table").ATTACKS}
        return {name: wrong(table[name]) for name in names}

    def wrong(row: Any) -> Context:
        file = importlib.import_module("attacks.surgery").Surgery(silica_artefact)
        row.edit(file)
        return make_context(exported(file.save(tmp_path / f"{row.name}.m3c.onnx")))

    return contexts
