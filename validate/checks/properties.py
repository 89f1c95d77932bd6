"""Static properties of crystals, each subject relaxed with its own forces.

A candidate with the right forces everywhere has the right properties; these checks see errors that
are small everywhere and add up, and say in the words of materials science what they amount to.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from ase import Atoms

from m3compress.analysis.curves import Plot
from m3compress.analysis.solids import (
    EquationOfState,
    elastic_constants,
    equation_of_state,
    largest_strain,
    phonon_frequencies,
    relax,
    repeats_for_phonons,
)
from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluator
from m3compress.engines.codes.ase import EvaluatorCalculator
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.building import Check, Pair, on_crystals
from m3compress.validate.result import Measurement
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall

#: A frequency (THz) above the negative of this is zero but for the tolerance of relaxation.
_IMAGINARY: Final = 0.1


def relaxed(context: Context, subject: Evaluator, crystal: Named) -> Atoms:
    """The crystal at rest under the forces of a subject, relaxed when first asked for."""
    return recall(
        context,
        subject,
        ("relaxed", crystal.name),
        lambda: relax(EvaluatorCalculator(subject), crystal.atoms),
    )


def _equation_of_state(context: Context, subject: Evaluator, crystal: Named) -> EquationOfState:
    return recall(
        context,
        subject,
        ("eos", crystal.name),
        lambda: equation_of_state(EvaluatorCalculator(subject), relaxed(context, subject, crystal)),
    )


def _elastic_constants(context: Context, subject: Evaluator, crystal: Named) -> FloatArray:
    return elastic_constants(EvaluatorCalculator(subject), relaxed(context, subject, crystal))


def _phonons(context: Context, subject: Evaluator, crystal: Named) -> FloatArray:
    # The supercell is that of the crystal as given, or two relaxed cells might get unlike ones.
    repeats = repeats_for_phonons(crystal.atoms)
    return recall(
        context,
        subject,
        ("phonons", crystal.name),
        lambda: phonon_frequencies(
            EvaluatorCalculator(subject), relaxed(context, subject, crystal), repeats
        ),
    )


def _judge_cell(pair: Pair[Atoms]) -> Measurement:
    """Largest principal strain between both cells, in %."""
    ours, theirs = (atoms.cell.cellpar() for atoms in (pair.ours, pair.theirs))
    return Measurement(
        structure=pair.name,
        value=100 * largest_strain(pair.ours.cell.array, pair.theirs.cell.array),
        evidence={
            "cell": ours.tolist(),
            "reference_cell": theirs.tolist(),
            "start_cell": pair.base.cell.cellpar().tolist(),
            "largest_change_of_angle": float(np.abs(ours[3:] - theirs[3:]).max()),
            "largest_displacement": _largest_displacement(pair.ours, pair.theirs),
        },
    )


def _largest_displacement(ours: Atoms, theirs: Atoms) -> float:
    """Of an atom within the cell, in Å, but for a shift of all of them."""
    fractions = ours.get_scaled_positions(wrap=False) - theirs.get_scaled_positions(wrap=False)
    fractions -= np.round(fractions)
    moved = (fractions - fractions.mean(axis=0)) @ theirs.cell.array
    return float(np.linalg.norm(moved, axis=1).max())


def _judge_volume(pair: Pair[EquationOfState]) -> Measurement:
    """Relative difference of the equilibrium volume in %, and both curves."""
    ours, theirs = pair.ours.volume, pair.theirs.volume
    lowest = float(pair.theirs.energies.min())
    above = "energy above the reference's minimum (eV/atom)"
    plot = Plot(f"eos:{pair.name}", pair.name, "volume (Å³/atom)", above)
    curves = tuple(
        plot.line(label, eos.volumes, eos.energies - lowest)
        for label, eos in (("artefact", pair.ours), ("reference", pair.theirs))
    )
    return Measurement(
        structure=pair.name,
        value=_percent(ours, theirs),
        evidence={
            "volume_per_atom": ours,
            "reference_volume_per_atom": theirs,
            "span": pair.ours.span,
            "reference_span": pair.theirs.span,
        },
        curves=curves,
    )


def _judge_bulk_modulus(pair: Pair[EquationOfState]) -> Measurement:
    """Relative difference of the bulk modulus in %."""
    ours, theirs = pair.ours.bulk_modulus, pair.theirs.bulk_modulus
    return Measurement(
        structure=pair.name,
        value=_percent(ours, theirs),
        evidence={"bulk_modulus": ours, "reference_bulk_modulus": theirs, "unit": "GPa"},
    )


def _judge_elastic(pair: Pair[FloatArray]) -> Measurement:
    """Largest difference of a constant in % of the largest constant."""
    difference = np.abs(pair.ours - pair.theirs)
    row, column = np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), (6, 6))
    return Measurement(
        structure=pair.name,
        value=float(100 * difference.max() / np.abs(pair.theirs).max()),
        evidence={
            "worst": f"C{row + 1}{column + 1}",
            "constants": pair.ours.round(3).tolist(),
            "reference_constants": pair.theirs.round(3).tolist(),
            "stable": _is_stable(pair.ours),
            "reference_stable": _is_stable(pair.theirs),
            "unit": "GPa, xx yy zz yz xz xy",
        },
    )


def _is_stable(constants: FloatArray) -> bool:
    """Born's criterion: every strain costs energy."""
    finite = bool(np.isfinite(constants).all())
    return finite and bool(np.linalg.eigvalsh(constants).min() > 0)


def _judge_phonon_maximum(pair: Pair[FloatArray]) -> Measurement:
    """Relative difference of the highest frequency in %."""
    ours, theirs = float(pair.ours.max()), float(pair.theirs.max())
    difference = pair.ours - pair.theirs
    plot = Plot(
        f"phonons:{pair.name}",
        pair.name,
        "frequency of the reference (THz)",
        "frequency of the artefact (THz)",
    )
    return Measurement(
        structure=pair.name,
        value=_percent(ours, theirs),
        evidence={
            "highest": ours,
            "reference_highest": theirs,
            "mean_difference": float(np.abs(difference).mean()),
            "largest_difference": float(np.abs(difference).max()),
            "n_q_points": len(pair.theirs),
            "unit": "THz",
        },
        curves=(plot.scatter("modes", pair.theirs.ravel(), pair.ours.ravel()),),
    )


def _judge_phonon_imaginary(pair: Pair[FloatArray]) -> Measurement:
    """How far modes are imaginary beyond the reference's, q-point by q-point in frequency order."""
    beyond = np.minimum(pair.theirs, 0) - np.minimum(pair.ours, 0)
    return Measurement(
        structure=pair.name,
        value=float(beyond.max(initial=0.0)),
        evidence={
            "n_imaginary": int((pair.ours < -_IMAGINARY).sum()),
            "reference_n_imaginary": int((pair.theirs < -_IMAGINARY).sum()),
            "lowest": float(pair.ours.min()),
            "reference_lowest": float(pair.theirs.min()),
            "n_modes": int(pair.ours.size),
            "unit": "THz",
        },
    )


def _percent(ours: float, theirs: float) -> float:
    return 100 * abs(ours - theirs) / abs(theirs) if theirs else float("inf")


CHECKS: Final[tuple[Check, ...]] = (
    on_crystals(
        "prop.relax",
        "strain of the relaxed cell against the reference's",
        _judge_cell,
        compute=relaxed,
        group="relax",
    ),
    on_crystals(
        "prop.eos-volume",
        "equilibrium volume of the equation of state",
        _judge_volume,
        compute=_equation_of_state,
        group="eos",
    ),
    on_crystals(
        "prop.eos-bulk-modulus",
        "bulk modulus of the equation of state",
        _judge_bulk_modulus,
        compute=_equation_of_state,
        group="eos",
    ),
    on_crystals(
        "prop.elastic",
        "elastic constants with relaxed atoms",
        _judge_elastic,
        compute=_elastic_constants,
        group="elastic",
    ),
    on_crystals(
        "prop.phonon-maximum",
        "highest frequency of a phonon",
        _judge_phonon_maximum,
        compute=_phonons,
        group="phonons",
    ),
    on_crystals(
        "prop.phonon-imaginary",
        "how far below zero phonons are unstable, beyond those of the reference",
        _judge_phonon_imaginary,
        compute=_phonons,
        group="phonons",
    ),
)
