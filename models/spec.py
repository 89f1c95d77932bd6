"""A trained model in PyTorch as a value that any process opens for itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ase import Atoms

from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.files import content_sha256
from m3compress.contract.forms import parse_form

if TYPE_CHECKING:
    from m3compress.models.potential import Potential

Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A trained model; see :class:`~m3compress.contract.evaluation.EvaluatorSpec`.

    Attributes:
        path: Its file or folder.
        convention: Convention of the file, where it does not say it.
        form: Three-body form: ``native`` (as trained), or what
            :func:`~m3compress.contract.forms.parse_form` reads.
        precision: Of weights and arithmetic.
        threads: Of PyTorch; None for what the process has.
    """

    path: str
    convention: str | None = None
    form: str = "native"
    precision: Precision = "float64"
    threads: int | None = None

    def read(self) -> Potential:
        """The model in form and precision.

        Raises:
            M3CompressError: If the file cannot be opened or the form does not exist.
        """
        import torch

        from m3compress.models.readers.open import read_model

        potential = read_model(self.path, convention=self.convention)
        if self.form != "native":
            potential = potential.with_form(parse_form(self.form))
        return potential.to(getattr(torch, self.precision))

    def open(self) -> Evaluator:
        """Load it.

        Raises:
            M3CompressError: If the file cannot be opened or the form does not exist.
        """
        return _OnThreads(self.read(), self.threads)

    def with_threads(self, threads: int) -> Self:
        """The same on so many threads."""
        return replace(self, threads=threads)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "model",
            "path": self.path,
            "convention": self.convention,
            "form": self.form,
            "precision": self.precision,
        }

    def identity(self) -> dict[str, Any]:
        """What decides its numbers: the content of its file counts, not where that is.

        Raises:
            M3CompressError: If the file cannot be read.
        """
        document = self.to_json()
        path = Path(document.pop("path"))
        # What is no path is a name on a hub.
        return {**document, "content": content_sha256(path) if path.exists() else str(path)}


@dataclass(frozen=True, slots=True)
class _OnThreads:
    """A potential that evaluates on so many threads."""

    potential: Potential
    threads: int | None

    @property
    def elements(self) -> tuple[str, ...]:
        return self.potential.elements

    @property
    def cutoff(self) -> float:
        return self.potential.cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        with torch_threads(self.threads):
            return self.potential.evaluate(atoms)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Threads of PyTorch, which has one number for the whole process; None for what it has."""
    import torch

    before = torch.get_num_threads()
    if threads is not None and threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
