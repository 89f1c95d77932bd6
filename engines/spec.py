"""An exported file as a value that any process opens for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from m3compress.contract.backends import Device
from m3compress.contract.evaluation import Evaluator
from m3compress.contract.files import content_sha256, expanded
from m3compress.engines.evaluator import ArtefactEvaluator


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactSpec:
    """An exported file; see :class:`~m3compress.contract.evaluation.EvaluatorSpec`.

    Attributes:
        path: A ``.m3c.onnx``, a ``.plan`` or their ``.m3c.json``.
        device: Where it runs.
        threads: CPU threads of one evaluation; None for all physical cores.
    """

    path: str
    device: Device = "cpu"
    threads: int | None = None

    def open(self) -> Evaluator:
        """Load it.

        Raises:
            ArtefactError: If the file is damaged, not ours, or not one for this device.
            MissingDependencyError: If its runtime or the device is missing.
        """
        return ArtefactEvaluator(self.path, device=self.device, threads=self.threads)

    def with_threads(self, threads: int) -> Self:
        """The same on so many threads."""
        return replace(self, threads=threads)

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` reads them."""
        return {"kind": "artefact", "path": self.path, "device": self.device}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            ValueError: If it is the document of something else.
        """
        if document.get("kind") != "artefact":
            raise ValueError(f"expected kind 'artefact', got {document.get('kind')!r}")
        return cls(**{name: value for name, value in document.items() if name != "kind"})

    def identity(self) -> dict[str, Any]:
        """What decides its numbers: the content of the file, and where it runs.

        Raises:
            M3CompressError: If the file cannot be read.
        """
        content = content_sha256(expanded(self.path))
        return {"kind": "artefact", "content": content, "device": self.device}
