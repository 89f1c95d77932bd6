"""An evaluator that is open already, as the value that a job asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from m3compress.contract.evaluation import Evaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An evaluator that is open already, for runs in the process where it is.

    Attributes:
        evaluator: It stays on the threads that it has.
        content: What tells it from another one, such as the hash of its weights: a run is resumed
            where it is the same.
    """

    evaluator: Evaluator
    content: str

    def open(self) -> Evaluator:
        """The evaluator."""
        return self.evaluator

    def with_threads(self, threads: int) -> Self:
        """Itself: it is open."""
        del threads
        return self

    def to_json(self) -> dict[str, Any]:
        """A note of what it was; nobody can open it again."""
        return self.identity()

    def identity(self) -> dict[str, Any]:
        """What decides its numbers."""
        return {"kind": "loaded", "content": self.content}
