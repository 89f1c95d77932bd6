"""Frames with energies and forces from DFT, refused where their units cannot be right.

Files do not say their units. They are recognised by comparison with the trained model: forces that
point where the model's do, but are 51 times smaller, are in Hartree/Bohr.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.files import expanded
from m3compress.errors import StructureError
from m3compress.models.structures.counted import as_the_file_counts
from m3compress.models.structures.frames import Named, read_frames, require_known
from m3compress.models.structures.stored_labels import labelled

logger = logging.getLogger(__name__)

#: Frames that are compared with the model to recognise units.
_N_PROBED: Final = 12
#: A model this far from its labels (a factor, either way) was not trained on their unit.
_SUSPICIOUS: Final = 6.0
#: Labels much smaller than predictions are only refused if they agree but for the factor: forces
#: of relaxed structures are as small as the errors of any model.
_CORRELATED: Final = 0.7
_CLEAR_FORCE: Final = 0.05  # eV/Å: above the errors of a model
_CLEAR_ENERGY: Final = 0.002  # eV/atom, the same
_N_CLEAR: Final = 12  # atoms
_N_SPARE: Final = 3  # frames more than element energies
#: What is said of signs and of energies per atom has to be clearer than a factor that no model
#: misses by: more frames to spare, and energies that follow the model's closely.
_N_SURE: Final = 5
_SURE: Final = 0.95
#: Energies that are those of the model, but for the errors of one that was not trained on them.
_SAME: Final = 1.2
#: Slopes of about -1, either way.
_OPPOSITE: Final = 2.5
_TINY: Final = 1e-30  # to take logarithms of
_CONSTANT: Final = 1.5  # largest over smallest of ratios that are one unit

#: Value of a quantity of 1 eV/Å, 1 eV and 1 eV/Å³ in units that are met in practice.
_FORCE_UNITS: Final = {
    "Hartree/Bohr": units.Bohr / units.Hartree,
    "Rydberg/Bohr": units.Bohr / units.Rydberg,
    "Hartree/Å": 1 / units.Hartree,
    "kcal/mol/Å": units.mol / units.kcal,
    "kJ/mol/Å": units.mol / units.kJ,
    "kJ/mol/nm": 10 * units.mol / units.kJ,
    "meV/Å": 1000.0,
}
_ENERGY_UNITS: Final = {
    "Hartree": 1 / units.Hartree,
    "Rydberg": 1 / units.Rydberg,
    "kcal/mol": units.mol / units.kcal,
    "kJ/mol": units.mol / units.kJ,
    "meV": 1000.0,
}
_STRESS_UNITS: Final = {"GPa": 1 / units.GPa, "kbar": 10 / units.GPa}


def read_labels(path: Path, model: Evaluator) -> tuple[Named, ...]:
    """Labelled frames in eV and Å, their labels as ASE's single-point results.

    Args:
        path: A file of any format that ASE reads and that holds forces.
        model: The trained model, to recognise units by.

    Returns:
        Those of :func:`read_labelled`; a stress in another unit is left out.

    Raises:
        StructureError: As :func:`read_labelled`, or if forces or energies are not in eV and Å.
    """
    frames = read_labelled(path, model.elements)
    require_units(frames, model, expanded(path))
    return frames


def read_labelled(path: Path, elements: Sequence[str]) -> tuple[Named, ...]:
    """Labelled frames, whatever their units, their labels as ASE's single-point results.

    Args:
        path: A file of any format that ASE reads and that holds forces.
        elements: Chemical symbols that the frames may have.

    Returns:
        Frames named ``stem-number``; ``atoms.calc.results`` has forces (eV/Å), and energy (eV) and
        stress (eV/Å³) where the file has them.

    Raises:
        StructureError: If the file cannot be read, or a frame has another element or no forces, or
            labels that :func:`~m3compress.models.structures.stored_labels.labelled` refuses.
    """
    path = expanded(path)
    frames = []
    for number, atoms in enumerate(read_frames(path)):
        name = f"{path.stem}-{number}"
        require_known(atoms, elements, f"frame {number} of {path}")
        try:
            frames.append(Named(name, labelled(atoms, f"frame {number} of {path}")))
        except StructureError as error:
            raise as_the_file_counts(error, path, number) from error
    return tuple(frames)


def require_units(frames: Sequence[Named], model: Evaluator, path: Path) -> None:
    """Refuse labels that are not in eV and Å, and take out stresses that are not.

    Args:
        frames: Labelled frames.
        model: What the labels are compared with.
        path: Where they are from.

    Raises:
        StructureError: If forces or energies are in another unit, or a frame cannot be evaluated.
    """
    rows = spread(len(frames), _N_PROBED)
    probed = [frames[row].atoms for row in rows]
    expected = [evaluated(model, frames[row].atoms, f"frame {row} of {path}") for row in rows]
    scale = _require_units_of_forces(probed, expected, path)
    _require_units_of_energies(probed, expected, scale, path)
    if not _has_plausible_stress(probed, expected, path):
        for named in frames:
            named.atoms.calc.results.pop("stress", None)


def spread(n_frames: int, n_wanted: int) -> list[int]:
    """Numbers of at most ``n_wanted`` frames from the first to the last, evenly spaced."""
    rows = np.linspace(0, n_frames - 1, min(n_wanted, n_frames)).round().astype(int)
    return sorted(set(rows.tolist()))


def evaluated(model: Evaluator, atoms: Atoms, frame: str) -> Evaluation:
    """What a model says of a frame.

    Raises:
        StructureError: If it cannot be evaluated; the frame is named.
    """
    try:
        return model.evaluate(atoms)
    except StructureError as error:
        raise StructureError(f"{frame}: {error.message}", hint=error.hint) from error


def _require_units_of_forces(
    frames: Sequence[Atoms], expected: Sequence[Evaluation], path: Path
) -> float | None:
    """Size of the forces in terms of the model's; None where they are too small to say."""
    labels = np.concatenate([_result(atoms, "forces") for atoms in frames])
    predictions = np.concatenate([result.forces for result in expected])
    sizes, others = np.linalg.norm(predictions, axis=1), np.linalg.norm(labels, axis=1)
    clear = (sizes > _CLEAR_FORCE) & (others > 0)
    if clear.sum() < _N_CLEAR or clear.mean() < 0.5:
        return None  # forces of relaxed structures are noise, and so is what is said of them
    dots = np.einsum("ij,ij->i", labels, predictions)[clear]
    sizes, others = sizes[clear], others[clear]
    cosine, typical = float(np.median(dots / sizes / others)), float(np.median(others))
    if cosine < -_CORRELATED and typical > _CLEAR_FORCE:
        raise StructureError(
            f"the forces in {path} point against those of the model (cosine {cosine:.2f})",
            hint="they are gradients of the energy, perhaps: forces are their negative",
        )
    # One unit is one factor for weak forces and strong ones.
    spread = _cosine(*(np.log(x) - np.log(x).mean() for x in (sizes, others)))
    ratio = float(np.median(others) / np.median(sizes))
    _refuse(ratio, min(cosine, spread), "forces", "eV/Å", _FORCE_UNITS, path)
    return ratio if cosine > _CORRELATED else None


def _require_units_of_energies(
    frames: Sequence[Atoms], expected: Sequence[Evaluation], scale: float | None, path: Path
) -> None:
    pairs = [
        (atoms, result)
        for atoms, result in zip(frames, expected, strict=True)
        if "energy" in atoms.calc.results
    ]
    if not pairs:
        return
    sizes = np.array([len(atoms) for atoms, _ in pairs])
    labels = np.array([float(_result(atoms, "energy")) for atoms, _ in pairs]) / sizes
    predictions = np.array([result.energy for _, result in pairs]) / sizes
    symbols = sorted({symbol for atoms, _ in pairs for symbol in atoms.symbols})
    fractions = np.array([[np.mean(atoms.symbols == s) for s in symbols] for atoms, _ in pairs])
    # The zero of energy is free for every element. What a fit of these leaves of labels and of
    # predictions is free of it (Frisch-Waugh), and the slope of the two is the unit.
    n_spare = len(pairs) - np.linalg.matrix_rank(fractions)
    if n_spare >= _N_SPARE:
        project = np.eye(len(pairs)) - fractions @ np.linalg.pinv(fractions)
        left, predicted = project @ labels, project @ predictions
        if np.abs(predicted).max() <= _CLEAR_ENERGY:
            return
        if n_spare >= _N_SURE:
            _refuse_sign(left, predicted, path)
            _refuse_per_atom(left, project @ (labels * sizes), predicted, scale, path)
        cosine = _cosine(left, predicted)
        if abs(cosine) > _CORRELATED:
            _refuse(_slope(left, predicted), cosine, "energies", "eV", _ENERGY_UNITS, path)
    elif len(np.unique(fractions, axis=0)) >= _N_SPARE:
        # Too many elements for a fit; but a ratio that is the same for all of them is a unit.
        ratios = labels / predictions
        if ratios.min() > 0 and ratios.max() < _CONSTANT * ratios.min():
            _refuse(float(np.median(ratios)), 1.0, "energies", "eV", _ENERGY_UNITS, path)
        elif (np.abs(np.log(np.maximum(ratios * sizes, _TINY))) < math.log(_SAME)).all():
            raise _per_atom(path)


def _refuse_sign(left: FloatArray, predicted: FloatArray, path: Path) -> None:
    """Refuse energies that rise where the model's fall, by as much."""
    ratio = _slope(left, predicted)
    if _cosine(left, predicted) < -_SURE and 1 / _OPPOSITE < ratio < _OPPOSITE:
        raise StructureError(
            f"the energies in {path} have the wrong sign: they rise where those of the model fall "
            f"(slope {-ratio:.2f})",
            hint="binding energies are positive, perhaps: energies are their negative",
        )


def _refuse_per_atom(
    left: FloatArray,
    as_stored: FloatArray,
    predicted: FloatArray,
    scale: float | None,
    path: Path,
) -> None:
    """Refuse energies that fit the model's per atom, and do not once divided by the atoms.

    Args:
        left: Labels over numbers of atoms, without the energies of elements, shape (n_frames,).
        as_stored: The same of labels that were not divided.
        predicted: The same of the model's energies per atom.
        scale: Size of the forces in terms of the model's. A model that is too soft misses energies
            as it misses forces; without forces its energies may be half of the labels.
        path: Where they are from.
    """
    if scale is None or _cosine(as_stored, predicted) < _SURE:
        return
    fits = abs(math.log(_slope(as_stored, predicted) / scale)) < math.log(_SAME)
    fits_divided = abs(math.log(_slope(left, predicted) / scale)) < math.log(_CONSTANT)
    if fits and not fits_divided:
        raise _per_atom(path)


def _per_atom(path: Path) -> StructureError:
    return StructureError(
        f"the energies in {path} are per atom, it seems: as they are, they follow the model's "
        "energies per atom; expected those of all atoms of a frame, in eV",
        hint="multiply every energy by the number of atoms of its frame",
    )


def _has_plausible_stress(
    frames: Sequence[Atoms], expected: Sequence[Evaluation], path: Path
) -> bool:
    pairs = [
        (_result(atoms, "stress"), result.stress(atoms))
        for atoms, result in zip(frames, expected, strict=True)
        if "stress" in atoms.calc.results and atoms.pbc.all()
    ]
    if not pairs:
        return False
    labels = np.concatenate([label for label, _ in pairs])
    predictions = np.concatenate([prediction for _, prediction in pairs])
    ratio, cosine = _ratio(labels, predictions), _cosine(labels, predictions)
    if 1 / _SUSPICIOUS < ratio < _SUSPICIOUS and cosine > 0:
        return True
    logger.warning(
        "stresses in %s are left out: %.3g times those of the model%s, expected eV/Å³",
        path,
        ratio,
        _likeness(ratio, _STRESS_UNITS),
    )
    return False


def _result(atoms: Atoms, name: str) -> FloatArray:
    try:
        return np.asarray(atoms.calc.results[name], dtype=float)
    except KeyError as error:
        raise PropertyNotImplementedError(name) from error


def _ratio(labels: FloatArray, predictions: FloatArray) -> float:
    """Size of labels in terms of predictions: the ratio of their medians, or of their norms."""
    below, above = np.median(np.abs(predictions)), np.median(np.abs(labels))
    if below > 0 and above > 0:
        return float(above / below)
    norm = float(np.linalg.norm(predictions))
    return float(np.linalg.norm(labels)) / norm if norm else 1.0


def _slope(labels: FloatArray, predictions: FloatArray) -> float:
    """Size of labels in terms of predictions that are not all zero; never zero itself."""
    return max(float(np.linalg.norm(labels) / np.linalg.norm(predictions)), _TINY)


def _cosine(a: FloatArray, b: FloatArray) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0


def _refuse(
    ratio: float, cosine: float, what: str, unit: str, known: Mapping[str, float], path: Path
) -> None:
    too_large = ratio > _SUSPICIOUS
    too_small = ratio < 1 / _SUSPICIOUS and abs(cosine) > _CORRELATED
    if not (too_large or too_small):
        return
    raise StructureError(
        f"the {what} in {path} are {ratio:.3g} times those of the model"
        f"{_likeness(ratio, known)}, expected {unit}",
        hint=f"convert the labels to {unit}; ase.units has the factors",
    )


def _likeness(ratio: float, known: Mapping[str, float]) -> str:
    """``, as if in Hartree/Bohr``: units within a factor of 1.5 of the ratio, nearest first."""
    distances = {name: abs(math.log(max(ratio, _TINY) / value)) for name, value in known.items()}
    near = sorted((name for name in known if distances[name] < math.log(1.5)), key=distances.get)  # type: ignore[arg-type]
    return f", as if in {' or '.join(near)}" if near else ""
