"""Static agreement: the file with the model it was made from, and that with what was trained.

Two errors are kept apart. The *export error* is that of the file against the same three-body form
in PyTorch and float64: rounding, or a bug. The *compression error* is that of the file against the
model as trained: what taking the block out costs. The first is judged on every structure there is,
the second on those that molecular dynamics might visit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from ase import units

from m3compress.analysis.curves import Curve, Plot
from m3compress.contract.arrays import FloatArray
from m3compress.validate.checks import exports, molecules, sizes, survey
from m3compress.validate.checks.building import Check, on_predictions
from m3compress.validate.checks.labelled import measure_labels
from m3compress.validate.checks.predictions import Compared
from m3compress.validate.checks.selection import Found

_WEAK_FORCE: Final = 0.05  # eV/Å: the direction of a weaker force is noise
_MOST_POINTS: Final = 2000
_NO_FORCE: Final = "no atom of the structures feels a force"


def _energy(both: Compared) -> Found:
    """Mean |ΔE| per atom over structures, nothing aligned."""
    differences = both.energies - both.expected_energies
    evidence = {
        "mean_difference": float(differences.mean()),
        "by_structure": _table(both.names, np.abs(differences)),
    }
    plot = Plot(
        "parity:energies",
        "",
        "energy of the reference (eV/atom)",
        "energy of the artefact (eV/atom)",
    )
    curve = _cloud(plot, "structures", both.expected_energies, both.energies)
    return Found(float(np.abs(differences).mean()), evidence, (curve,))


def _force_mae(both: Compared) -> Found:
    """Mean |ΔF| over Cartesian components."""
    differences = np.abs(both.forces - both.expected_forces)
    means = [differences[both.owners == row].mean() for row in range(len(both.names))]
    evidence = {"by_element": _by_element(both), "by_structure": _table(both.names, means)}
    return Found(float(differences.mean()), evidence, _force_curves(both))


def _force_rmse(both: Compared) -> Found | None:
    """Root-mean-square difference in % of the root-mean-square force of the reference."""
    rms = _rms(both.expected_forces)
    if rms == 0.0:
        return None
    error = _rms(both.forces - both.expected_forces)
    evidence = {"rmse": error, "rms_force": rms, "by_element": _by_element(both)}
    return Found(100 * error / rms, evidence)


def _force_max(both: Compared) -> Found:
    """Largest |ΔF| of a component, and where."""
    differences = np.abs(both.forces - both.expected_forces).max(axis=1)
    worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
    evidence = {
        "structure": both.names[both.owners[worst]],
        "element": str(both.symbols[worst]),
        "expected": both.expected_forces[worst].tolist(),
        "found": both.forces[worst].tolist(),
    }
    return Found(float(differences[worst]), evidence)


def _force_cosine(both: Compared) -> Found | None:
    """One minus the mean cosine of the angle between forces, of atoms that feel one."""
    sizes = np.linalg.norm(both.expected_forces, axis=1)
    strong = sizes > _WEAK_FORCE
    if not strong.any():
        return None
    dots = np.einsum("ij,ij->i", both.forces, both.expected_forces)[strong]
    norms = np.linalg.norm(both.forces, axis=1)[strong] * sizes[strong]
    cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms != 0)
    evidence = {"n_strong": int(strong.sum()), "smallest_cosine": float(cosines.min())}
    # Rounding may lift the mean above one, but a deviation is never negative (and NaN stays NaN).
    return Found(float(np.maximum(0.0, 1.0 - cosines.mean())), evidence)


def _force_scale(both: Compared) -> Found | None:
    """|slope − 1| of the regression of forces on those of the reference, through the origin."""
    total = float((both.expected_forces**2).sum())
    if total == 0.0:
        return None
    slope = float((both.forces * both.expected_forces).sum()) / total
    what = "softer" if slope < 1 else "stiffer"
    return Found(abs(slope - 1.0), {"slope": slope, "meaning": f"{what} than the reference"})


def _stress(both: Compared) -> Found:
    """Mean |Δσ| over components in GPa."""
    differences = np.abs(both.stresses - both.expected_stresses) / units.GPa
    evidence = {
        "largest": float(differences.max()),
        "by_structure": _table(both.names, differences.mean(axis=1)),
    }
    return Found(float(differences.mean()), evidence)


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
    plot = Plot(
        "parity:forces",
        "",
        "force component of the reference (eV/Å)",
        "force component of the artefact (eV/Å)",
    )
    return tuple(
        _cloud(plot, symbol, x[symbols == symbol], y[symbols == symbol])
        for symbol in sorted(set(symbols.tolist()))
    )


def _cloud(plot: Plot, label: str, x: FloatArray, y: FloatArray) -> Curve:
    finite = np.isfinite(x) & np.isfinite(y)
    return plot.scatter(label, x[finite], y[finite])


CHECKS: Final[tuple[Check, ...]] = (
    *exports.CHECKS,
    *survey.CHECKS,
    *molecules.CHECKS,
    *sizes.CHECKS,
    on_predictions("parity.energy", "mean error of energies against the trained model", _energy),
    on_predictions(
        "parity.force-mae", "mean error of forces against the trained model", _force_mae
    ),
    on_predictions(
        "parity.force-rmse",
        "root-mean-square error of forces over the root-mean-square force",
        _force_rmse,
        absent=_NO_FORCE,
    ),
    on_predictions(
        "parity.force-max", "largest error of forces against the trained model", _force_max
    ),
    on_predictions(
        "parity.force-cosine",
        "error of the direction of forces: one minus the mean cosine",
        _force_cosine,
        absent=_NO_FORCE,
    ),
    on_predictions(
        "parity.force-scale",
        "softening: slope of forces against those of the trained model",
        _force_scale,
        absent=_NO_FORCE,
    ),
    on_predictions("parity.stress", "mean error of stresses against the trained model", _stress),
    Check(
        id="parity.labels",
        measures="error of forces against DFT over that of the trained model",
        run=measure_labels,
    ),
)
