"""What a distillation tells: as it goes on, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from m3compress.contract.evaluation import EvaluatorSpec
from m3compress.contract.progress import Progress, silent
from m3compress.distill.on_policy.round import RoundReport
from m3compress.distill.speed import Speed
from m3compress.distill.training.run import Run
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import SHORTEST
from m3compress.models.student_record import STUDENT, StudentRecord, write_student
from m3compress.models.writers.matgl import save_matgl

#: Told (stage, detail), a line each.
Say = Callable[[str, str], None]


def unheard(stage: str, detail: str) -> None:
    """What is said where nobody listens."""
    del stage, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A student that has learned all that it will.

    Attributes:
        potential: It.
        artefact: It, exported.
        record: What it says of itself.
        rounds: What its own dynamics showed; the last one after its training.
    """

    potential: Potential
    artefact: EvaluatorSpec
    record: StudentRecord
    rounds: tuple[RoundReport, ...]

    def written(
        self, output: Path, speed: Speed, *, force: bool, matgl: Path | None = None
    ) -> Distilled:
        """Write its file.

        Args:
            output: ``NAME.m3c.safetensors``.
            speed: Of it and its teacher.
            force: Replace existing files.
            matgl: Folder that gets it in matgl's format, too.

        Raises:
            M3CompressError: If it cannot be written.
        """
        if matgl is not None:
            told = {
                SHORTEST: self.record.domain.shortest,
                STUDENT: self.record.model_dump(mode="json"),
            }
            save_matgl(self.potential, matgl, told)
        write_student(self.potential, self.record, output, force=force)
        return Distilled(
            path=output,
            record=self.record,
            rounds=self.rounds,
            speed=speed,
            n_parameters=sum(p.numel() for p in self.potential.network.parameters()),
            matgl=matgl,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """What a distillation made.

    Attributes:
        path: The student's file.
        record: What it says of itself.
        rounds: What the student's own dynamics showed; the last one after its training.
        speed: Of student and teacher.
        n_parameters: Of the student.
        matgl: Folder with the student in matgl's format, where that was asked for.
    """

    path: Path
    record: StudentRecord
    rounds: tuple[RoundReport, ...]
    speed: Speed
    n_parameters: int
    matgl: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "student": str(self.path),
            "matgl": None if self.matgl is None else str(self.matgl),
            "bytes": self.path.stat().st_size,
            "parameters": self.n_parameters,
            "speed": self.speed.to_json(),
            "rounds": [report.to_json() for report in self.rounds],
            "record": self.record.model_dump(mode="json"),
        }


@dataclass(slots=True)
class Reporter:
    """Whom a distillation tells how far it is.

    Attributes:
        say: Told what has been done, a line each.
        progress: Told what is running.
    """

    say: Say = unheard
    progress: Progress = silent
    _tenth: int = field(default=-1)

    def epoch(self, run: Run, steps: int) -> None:
        """Tell how far a training of so many steps is, and at every tenth how good."""
        self.progress("training", run.steps / steps)
        tenth = 10 * run.steps // steps
        if tenth > self._tenth:
            self._tenth = tenth
            last = run.history[-1]
            self.say(
                f"at {100 * run.steps / steps:.0f} %",
                "validation: {force_mae:.1f} meV/Å ({force_percent:.1f} %), "
                "{energy_mae:.2f} meV/atom, {stress_mae:.3f} GPa".format(**last),
            )
