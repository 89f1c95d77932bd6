"""Static agreement: the file with the model it was made from, and that with what was trained.

Two errors are kept apart. The *export error* is that of the file against the same three-body form
in PyTorch and float64: rounding, or a bug. The *compression error* is that of the file against the
model as trained: what taking the block out costs. The first is judged on every structure there is,
the second on those that molecular dynamics might visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from ase import units

from m3compress.contract.neighbors import FloatArray
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.labelled import measure_labels
from m3compress.validate.checks.predictions import (
    Compared,
    compared,
    predictions,
    structures_of,
)
from m3compress.validate.checks.selection import Found, worst_of
from m3compress.validate.result import Curve, Measurement, Tier
from m3compress.validate.setup.context import Check, Context
from m3compress.validate.setup.recall import twin_of
from m3compress.validate.setup.subject import ExportedFile, Subject

_WEAK_FORCE: Final = 0.05  # eV/Å: the direction of a weaker force is noise
_MOST_POINTS: Final = 2000
_EXPORT_ABSENT: Final = "there is no structure to compare on"
_NO_TWIN: Final = "the candidate is a control: it was not exported from anything"


def measure_export_force(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Largest difference of forces over what float32 rounding allows, on every structure."""
    from m3compress.export.parity import LIMITS

    twin = twin_of(context)
    if twin is None:
        return (Measurement(skipped=_NO_TWIN),)
    precision = _precision_of(subject)
    limits = LIMITS[precision]
    ours, theirs = predictions(context, subject), predictions(context, twin)

    def measure(entry: Named, number: int) -> Found:
        del number
        expected = theirs.of(entry.name).forces
        error = float(np.abs(ours.of(entry.name).forces - expected).max(initial=0.0))
        tolerance = limits.force_limit(expected)
        return Found(
            error / tolerance,
            {"largest_difference": error, "tolerance": tolerance, "precision": precision},
        )

    return worst_of(structures_of(context), measure, absent=_EXPORT_ABSENT)


def measure_export_energy(context: Context, subject: Subject) -> Iterable[Measurement]:
    """Largest difference of energies over what float32 rounding allows, on every structure."""
    from m3compress.export.parity import LIMITS

    twin, spec = twin_of(context), context.twin
    if twin is None or spec is None:
        return (Measurement(skipped=_NO_TWIN),)
    limits = LIMITS[_precision_of(subject)]
    ours, theirs = predictions(context, subject), predictions(context, twin)

    def measure(entry: Named, number: int) -> Found:
        del number
        n_atoms, expected = len(entry.atoms), theirs.of(entry.name).energy
        error = abs(ours.of(entry.name).energy - expected) / n_atoms

        def rounding() -> float:
            rounded = replace(spec, precision="float32").open().evaluate(entry.atoms)
            return abs(rounded.energy - expected) / n_atoms

        tolerance = limits.energy_limit(error, rounding)
        return Found(error / tolerance, {"difference": error, "tolerance": tolerance})

    return worst_of(structures_of(context), measure, absent=_EXPORT_ABSENT)


def _precision_of(subject: Subject) -> str:
    if isinstance(subject, ExportedFile):
        return subject.evaluator.manifest.precision
    return "float32"


#: What is measured of the compression error: value (None if there is no such thing), evidence,
#: curves.
_Statistic = Callable[[Compared], tuple[float | None, dict[str, Any], tuple[Curve, ...]]]


def _as_check(name: str, measures: str, statistic: _Statistic, absent: str) -> Check:
    """A check of all structures together; those that cannot be evaluated are errors beside it."""

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        both = compared(context, subject)
        for structure, reason in both.errors.items():
            yield Measurement(structure=structure, error=reason)
        if not both.names:
            if not both.errors:
                yield Measurement(skipped="there is no periodic crystal to compare on")
            return
        value, evidence, curves = statistic(both)
        if value is None:
            yield Measurement(skipped=absent)
            return
        counts = {"n_structures": len(both.names), "n_atoms": len(both.owners)}
        yield Measurement(value=value, evidence={**counts, **evidence}, curves=curves)

    return Check(id=name, tier=Tier.PARITY, measures=measures, run=run)


def _energy(both: Compared) -> tuple[float, dict[str, Any], tuple[Curve, ...]]:
    """Mean |ΔE| per atom over structures, nothing aligned."""
    differences = both.energies - both.expected_energies
    evidence = {
        "mean_difference": float(differences.mean()),
        "by_structure": _table(both.names, np.abs(differences)),
    }
    curve = _scatter(
        "parity:energies",
        "structures",
        "energy of the reference (eV/atom)",
        "energy of the artefact (eV/atom)",
        both.expected_energies,
        both.energies,
    )
    return float(np.abs(differences).mean()), evidence, (curve,)


def _force_mae(both: Compared) -> tuple[float, dict[str, Any], tuple[Curve, ...]]:
    """Mean |ΔF| over Cartesian components."""
    differences = np.abs(both.forces - both.expected_forces)
    means = [differences[both.owners == row].mean() for row in range(len(both.names))]
    evidence = {"by_element": _by_element(both), "by_structure": _table(both.names, means)}
    return float(differences.mean()), evidence, _force_curves(both)


def _force_rmse(both: Compared) -> tuple[float | None, dict[str, Any], tuple[Curve, ...]]:
    """Root-mean-square difference in % of the root-mean-square force of the reference."""
    rms = _rms(both.expected_forces)
    if rms == 0.0:
        return None, {}, ()
    error = _rms(both.forces - both.expected_forces)
    return 100 * error / rms, {"rmse": error, "rms_force": rms, "by_element": _by_element(both)}, ()


def _force_max(both: Compared) -> tuple[float, dict[str, Any], tuple[Curve, ...]]:
    """Largest |ΔF| of a component, and where."""
    differences = np.abs(both.forces - both.expected_forces).max(axis=1)
    worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
    evidence = {
        "structure": both.names[both.owners[worst]],
        "element": str(both.symbols[worst]),
        "expected": both.expected_forces[worst].tolist(),
        "found": both.forces[worst].tolist(),
    }
    return float(differences[worst]), evidence, ()


def _force_cosine(both: Compared) -> tuple[float | None, dict[str, Any], tuple[Curve, ...]]:
    """One minus the mean cosine of the angle between forces, of atoms that feel one."""
    sizes = np.linalg.norm(both.expected_forces, axis=1)
    strong = sizes > _WEAK_FORCE
    if not strong.any():
        return None, {}, ()
    dots = np.einsum("ij,ij->i", both.forces, both.expected_forces)[strong]
    norms = np.linalg.norm(both.forces, axis=1)[strong] * sizes[strong]
    cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms != 0)
    evidence = {"n_strong": int(strong.sum()), "smallest_cosine": float(cosines.min())}
    # Rounding may lift the mean above one, but a deviation is never negative (and NaN stays NaN).
    return float(np.maximum(0.0, 1.0 - cosines.mean())), evidence, ()


def _force_scale(both: Compared) -> tuple[float | None, dict[str, Any], tuple[Curve, ...]]:
    """|slope − 1| of the regression of forces on those of the reference, through the origin."""
    total = float((both.expected_forces**2).sum())
    if total == 0.0:
        return None, {}, ()
    slope = float((both.forces * both.expected_forces).sum()) / total
    what = "softer" if slope < 1 else "stiffer"
    return abs(slope - 1.0), {"slope": slope, "meaning": f"{what} than the reference"}, ()


def _stress(both: Compared) -> tuple[float, dict[str, Any], tuple[Curve, ...]]:
    """Mean |Δσ| over components in GPa."""
    differences = np.abs(both.stresses - both.expected_stresses) / units.GPa
    evidence = {
        "largest": float(differences.max()),
        "by_structure": _table(both.names, differences.mean(axis=1)),
    }
    return float(differences.mean()), evidence, ()


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean()))


def _by_element(both: Compared) -> dict[str, dict[str, float]]:
    """MAE, RMSE (eV/Å) and RMSE in % of the RMS force for every element."""
    table = {}
    for symbol in sorted(set(both.symbols.tolist())):
        own = both.symbols == symbol
        difference = both.forces[own] - both.expected_forces[own]
        rms = _rms(both.expected_forces[own])
        table[symbol] = {
            "n_atoms": int(own.sum()),
            "mae": float(np.abs(difference).mean()),
            "rmse": _rms(difference),
            "rmse_percent": 100 * _rms(difference) / rms if rms else 0.0,
        }
    return table


def _table(names: Sequence[str], values: Iterable[float]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _force_curves(both: Compared) -> tuple[Curve, ...]:
    """Force components against those of the reference, one cloud per element, thinned."""
    step = max(1, -(-both.forces.size // _MOST_POINTS))
    x, y = both.expected_forces.ravel()[::step], both.forces.ravel()[::step]
    symbols = np.repeat(both.symbols, 3)[::step]
    return tuple(
        _scatter(
            "parity:forces",
            symbol,
            "force component of the reference (eV/Å)",
            "force component of the artefact (eV/Å)",
            x[symbols == symbol],
            y[symbols == symbol],
        )
        for symbol in sorted(set(symbols.tolist()))
    )


def _scatter(
    figure: str, label: str, x_label: str, y_label: str, x: FloatArray, y: FloatArray
) -> Curve:
    finite = np.isfinite(x) & np.isfinite(y)
    return Curve(
        figure=figure,
        label=label,
        structure="",
        x_label=x_label,
        y_label=y_label,
        x=tuple(x[finite].tolist()),
        y=tuple(y[finite].tolist()),
        style="scatter",
    )


_NO_FORCE: Final = "no atom of the structures feels a force"

CHECKS: Final[tuple[Check, ...]] = (
    Check(
        id="parity.export-force",
        tier=Tier.PARITY,
        measures="forces of the file against the same model in PyTorch, over float32 rounding",
        run=measure_export_force,
    ),
    Check(
        id="parity.export-energy",
        tier=Tier.PARITY,
        measures="energies of the file against the same model in PyTorch, over float32 rounding",
        run=measure_export_energy,
    ),
    _as_check("parity.energy", "mean error of energies against the trained model", _energy, ""),
    _as_check("parity.force-mae", "mean error of forces against the trained model", _force_mae, ""),
    _as_check(
        "parity.force-rmse",
        "root-mean-square error of forces over the root-mean-square force",
        _force_rmse,
        _NO_FORCE,
    ),
    _as_check(
        "parity.force-max", "largest error of forces against the trained model", _force_max, ""
    ),
    _as_check(
        "parity.force-cosine",
        "error of the direction of forces: one minus the mean cosine",
        _force_cosine,
        _NO_FORCE,
    ),
    _as_check(
        "parity.force-scale",
        "softening: slope of forces against those of the trained model",
        _force_scale,
        _NO_FORCE,
    ),
    _as_check("parity.stress", "mean error of stresses against the trained model", _stress, ""),
    Check(
        id="parity.labels",
        tier=Tier.PARITY,
        measures="error of forces against DFT over that of the trained model",
        run=measure_labels,
    ),
)
