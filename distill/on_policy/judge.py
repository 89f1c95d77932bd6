"""Whether a student is right where it goes by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from m3compress.analysis.frame_errors import force_error
from m3compress.contract.evaluation import Evaluator
from m3compress.errors import StructureError
from m3compress.units import MEV_PER_EV


@dataclass(frozen=True, slots=True)
class FrameError:
    """How far the forces of a student are from the labels of a frame.

    Attributes:
        mae: Mean absolute error of a component in meV/Å.
        percent: The same in % of the mean |F| of a component.
    """

    mae: float
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of a trajectory of a student.

    Attributes:
        name: Of the trajectory.
        broken: Why it ended before its time, or what the teacher has nothing to say to; empty if
            neither is the case.
        worst: Of its frames; None if none could be labelled.
        wrong: Whether it broke, or its worst frame is beyond the limit.
    """

    name: str
    broken: str
    worst: FrameError | None
    wrong: bool


def frame_error(student: Evaluator, frame: Atoms) -> FrameError:
    """Error of a student on a labelled frame; infinite where it has nothing to say."""
    try:
        found = student.evaluate(frame).forces
    except StructureError:
        found = np.full((len(frame), 3), np.nan)
    error, size = force_error(found, frame.get_forces())
    error = error if math.isfinite(error) else math.inf
    return FrameError(MEV_PER_EV * error, 100 * error / max(size, 1e-12))


def pooled(errors: Sequence[FrameError]) -> FrameError:
    """Of all frames together, which have equally many atoms or nearly so."""
    mae = float(np.mean([error.mae for error in errors]))
    sizes = [100 * error.mae / error.percent for error in errors if error.percent > 0]
    return FrameError(mae, 100 * mae / float(np.mean(sizes)) if sizes else 0.0)


def judge(
    name: str,
    broken: str | None,
    n_missing: int,
    errors: Sequence[FrameError],
    most: float,
) -> Judged:
    """Judge a trajectory.

    Args:
        name: Of the trajectory.
        broken: Why it broke, or None.
        n_missing: Frames that the teacher could not label, or that have absurd forces.
        errors: Of all other frames.
        most: Largest error in % that is not wrong.
    """
    why = broken or (f"{n_missing} frames that the teacher cannot label" if n_missing else "")
    worst = max(errors, key=lambda error: error.percent, default=None)
    wrong = bool(why) or worst is None or not worst.percent <= most
    return Judged(name=name, broken=why, worst=worst, wrong=wrong)
