"""Errors against DFT: those of the candidate over those of the trained model.

Frames are taken for independent. Neighbours of one trajectory are not, and count for more than they
are worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import units

from m3compress.analysis.statistics.ratios import ratio_of_sums
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.attempt import Failure, attempt
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

#: Forces (eV/Å) that agree to this with the model were computed with it.
_COPIED: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Errors:
    """Absolute errors of one subject on one frame.

    Attributes:
        force: Sum over force components in eV/Å.
        energy: eV/atom, NaN without a label.
        stress: Mean over components in GPa, NaN without a label.
    """

    force: float
    energy: float
    stress: float


def measure_labels(context: Context, subject: Subject) -> Iterator[Measurement]:
    """Mean error of forces against DFT over that of the reference, with an interval over frames."""
    if not context.labels:
        yield Measurement(skipped="no labelled file was given")
        return
    frames = _chosen(context)
    ours: list[_Errors] = []
    theirs: list[_Errors] = []
    n_components = 0
    for named in frames:
        pair = attempt(_errors_of_both, context, subject, named)
        if isinstance(pair, Failure):
            yield Measurement(structure=named.name, error=pair.reason)
            continue
        ours.append(pair[0])
        theirs.append(pair[1])
        n_components += 3 * len(named.atoms)
    if ours:
        yield _judge(len(context.labels), ours, theirs, n_components)


def _chosen(context: Context) -> tuple[Named, ...]:
    n_given, most = len(context.labels), context.profile.n_labels
    n_frames = n_given if most is None else min(most, n_given)
    rows = np.linspace(0, n_given - 1, n_frames).round().astype(int)
    return tuple(context.labels[row] for row in rows)


def _errors_of_both(context: Context, subject: Subject, named: Named) -> tuple[_Errors, _Errors]:
    return _errors(subject, named), _errors(context.reference_subject, named)


def _errors(subject: Subject, named: Named) -> _Errors:
    atoms = named.atoms
    labels = atoms.calc.results
    result = subject.evaluate(atoms)
    energy = labels.get("energy", np.nan)
    stress = np.nan
    if "stress" in labels and atoms.pbc.all():
        stress = float(np.abs(result.stress(atoms) - labels["stress"]).mean() / units.GPa)
    return _Errors(
        force=float(np.abs(result.forces - labels["forces"]).sum()),
        energy=abs(result.energy - float(energy)) / len(atoms),
        stress=stress,
    )


def _judge(
    n_given: int, ours: Sequence[_Errors], theirs: Sequence[_Errors], n_components: int
) -> Measurement:
    mine = np.array([errors.force for errors in ours])
    its = np.array([errors.force for errors in theirs])
    evidence: dict[str, Any] = {
        "n_frames": len(ours),
        "n_given": n_given,
        "force_mae": float(mine.sum()) / n_components,
        "reference_force_mae": float(its.sum()) / n_components,
    }
    for name in ("energy", "stress"):
        sides = [np.array([getattr(errors, name) for errors in side]) for side in (ours, theirs)]
        # None says that labels are missing, or were left out as not in this program's units.
        evidence[f"frames_with_{name}"] = int(np.isfinite(sides[0]).sum())
        for prefix, values in zip(("", "reference_"), sides, strict=True):
            if np.isfinite(values).any():
                evidence[f"{prefix}{name}_mae"] = float(np.nanmean(values))
    if its.sum() < _COPIED * n_components:
        reason = "the labels are the reference's own forces: there is no error to compare with"
        return Measurement(error=reason, evidence=evidence)
    ratio, interval = ratio_of_sums(mine, its)
    return Measurement(value=ratio, interval=interval, evidence=evidence, needs="labelled frames")
