"""One molecular-dynamics run: everything that determines its result, and where it keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.contract.files import document_sha256
from m3compress.errors import M3CompressError

Ensemble = Literal["nve", "nvt", "npt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run of one potential from one structure.

    Every run begins with Langevin dynamics of ``equilibration`` steps. Then follow ``steps`` steps
    of velocity Verlet (``nve``), Langevin (``nvt``) or Langevin dynamics with a volume that is free
    (``npt``), of which every ``every``-th frame is kept.

    Attributes:
        name: Unique among the jobs of a root, and the beginning of the name of its folder.
        evaluator: Whose forces.
        structure: Start, shape (n_atoms,).
        ensemble: See above.
        temperature: Of velocities and thermostat in K.
        pressure: In GPa, for ``npt``.
        timestep: In fs.
        equilibration: Steps before sampling.
        steps: Sampled steps.
        every: Steps from one frame to the next.
        seed: Of velocities and thermostat.
        friction: Of Langevin dynamics of the atoms in 1/fs.
    """

    name: str
    evaluator: EvaluatorSpec
    structure: Atoms
    ensemble: Ensemble
    temperature: float
    pressure: float = 0.0
    timestep: float
    equilibration: int
    steps: int
    every: int
    seed: int
    friction: float = 0.02

    @property
    def total_steps(self) -> int:
        """Steps of equilibration and sampling."""
        return self.equilibration + self.steps

    @property
    def segment_steps(self) -> int:
        """Steps between two checkpoints: some ten seconds of a slow model, a multiple of ``every``.

        A function of the job alone: segments, and with them every random number, must be the same
        on a slow machine and on a fast one.
        """
        wanted = max(1, 10_000 // max(1, len(self.structure)))
        return self.every * max(1, min(100, wanted // self.every))

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` reads them."""
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        document["structure"] = {
            "numbers": self.structure.numbers.tolist(),
            "positions": self.structure.positions.tolist(),
            "cell": np.asarray(self.structure.cell).tolist(),
            "pbc": self.structure.pbc.tolist(),
        }
        document["evaluator"] = self.evaluator.to_json()
        return document

    @classmethod
    def from_json(
        cls, document: dict[str, Any], read_spec: Callable[[dict[str, Any]], EvaluatorSpec]
    ) -> Job:
        """Inverse of :meth:`to_json`.

        Args:
            document: Of the job.
            read_spec: Inverse of ``to_json`` of the evaluator; what it raises for a document that
                is none is caught, if it is a KeyError, TypeError or ValueError.

        Raises:
            M3CompressError: If it is not the document of a run.
        """
        try:
            values = dict(document)
            values["structure"] = Atoms(**values["structure"])
            values["evaluator"] = read_spec(values["evaluator"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise M3CompressError(f"this is not a run of m3compress: {error}") from error

    def fingerprint(self) -> str:
        """Hash of everything that determines the result.

        Raises:
            M3CompressError: If a file of the evaluator cannot be read.
        """
        document = {**self.to_json(), "evaluator": self.evaluator.identity()}
        return document_sha256(document)

    def folder(self, root: Path) -> Path:
        """Where it keeps its trajectory; another run of the same name has another folder."""
        return root / f"{self.name}-{self.fingerprint()[:12]}"
