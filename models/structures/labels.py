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
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.neighbors import FloatArray
from m3compress.errors import StructureError
from m3compress.models.structures.frames import Named, read_frames, require_known

logger = logging.getLogger(__name__)

_FORCES: Final = ("REF_forces", "dft_forces", "DFT_forces", "ref_forces")
_ENERGIES: Final = ("REF_energy", "dft_energy", "DFT_energy", "ref_energy")
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
    """Labelled frames, their labels as ASE's single-point results.

    Args:
        path: A file of any format that ASE reads and that holds forces.
        model: The trained model, to recognise units by.

    Returns:
        Frames named ``stem-number``; ``atoms.calc.results`` has forces (eV/Å), and energy (eV) and
        stress (eV/Å³) where the file has them. A stress in another unit is left out.

    Raises:
        StructureError: If the file cannot be read, a frame has no forces or an element that the
            model does not know, or forces or energies are not in eV and Å.
    """
    frames = []
    for number, atoms in enumerate(read_frames(path)):
        name = f"{path.stem}-{number}"
        require_known(atoms, model.elements, f"frame {number} of {path}")
        frames.append(Named(name, _labelled(atoms, number, path)))
    probed = [frames[row].atoms for row in _spread(len(frames))]
    expected = [model.evaluate(atoms) for atoms in probed]
    _require_units_of_forces(probed, expected, path)
    _require_units_of_energies(probed, expected, path)
    if not _has_plausible_stress(probed, expected, path):
        for named in frames:
            named.atoms.calc.results.pop("stress", None)
    return tuple(frames)


def _spread(n_frames: int) -> list[int]:
    rows = np.linspace(0, n_frames - 1, min(_N_PROBED, n_frames)).round().astype(int)
    return sorted(set(rows.tolist()))


def _labelled(atoms: Atoms, number: int, path: Path) -> Atoms:
    """The frame with nothing but its labels."""
    found = _labels_of(atoms)
    forces = found.get("forces")
    if forces is None:
        raise StructureError(
            f"frame {number} of {path} has no forces; it has {_contents(atoms)}",
            hint="extended XYZ with Properties=species:S:1:pos:R:3:forces:R:3 and energy=...",
        )
    if forces.shape != atoms.positions.shape or not np.isfinite(forces).all():
        raise StructureError(f"the forces of frame {number} of {path} are not three numbers each")
    plain = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    plain.calc = SinglePointCalculator(plain, **found)
    return plain


def _labels_of(atoms: Atoms) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    results = {} if atoms.calc is None else atoms.calc.results
    for name in ("energy", "forces", "stress"):
        if results.get(name) is not None:
            found[name] = results[name]
    for name in _FORCES:
        if name in atoms.arrays:
            found.setdefault("forces", np.asarray(atoms.arrays[name], dtype=float))
    for name in _ENERGIES:
        if name in atoms.info:
            found.setdefault("energy", atoms.info[name])
    return found


def _contents(atoms: Atoms) -> str:
    names = {*atoms.arrays, *atoms.info, *({} if atoms.calc is None else atoms.calc.results)}
    return ", ".join(sorted(names - {"numbers"}))


def _require_units_of_forces(
    frames: Sequence[Atoms], expected: Sequence[Evaluation], path: Path
) -> None:
    labels = np.concatenate([_result(atoms, "forces") for atoms in frames])
    predictions = np.concatenate([result.forces for result in expected])
    sizes, others = np.linalg.norm(predictions, axis=1), np.linalg.norm(labels, axis=1)
    clear = (sizes > _CLEAR_FORCE) & (others > 0)
    if clear.sum() < _N_CLEAR or clear.mean() < 0.5:
        return  # forces of relaxed structures are noise, and so is what is said of them
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


def _require_units_of_energies(
    frames: Sequence[Atoms], expected: Sequence[Evaluation], path: Path
) -> None:
    pairs = [
        (atoms, result)
        for atoms, result in zip(frames, expected, strict=True)
        if "energy" in atoms.calc.results
    ]
    if not pairs:
        return
    labels = np.array([float(_result(atoms, "energy")) / len(atoms) for atoms, _ in pairs])
    predictions = np.array([result.energy / len(atoms) for atoms, result in pairs])
    symbols = sorted({symbol for atoms, _ in pairs for symbol in atoms.symbols})
    fractions = np.array([[np.mean(atoms.symbols == s) for s in symbols] for atoms, _ in pairs])
    # The zero of energy is free for every element. What a fit of these leaves of labels and of
    # predictions is free of it (Frisch-Waugh), and the slope of the two is the unit.
    if len(pairs) - np.linalg.matrix_rank(fractions) >= _N_SPARE:
        project = np.eye(len(pairs)) - fractions @ np.linalg.pinv(fractions)
        left, predicted = project @ labels, project @ predictions
        cosine = _cosine(left, predicted)
        if np.abs(predicted).max() > _CLEAR_ENERGY and abs(cosine) > _CORRELATED:
            ratio = float(np.linalg.norm(left) / np.linalg.norm(predicted))
            _refuse(ratio, cosine, "energies", "eV", _ENERGY_UNITS, path)
    elif len(np.unique(fractions, axis=0)) >= _N_SPARE:
        # Too many elements for a fit; but a ratio that is the same for all of them is a unit.
        ratios = labels / predictions
        if ratios.min() > 0 and ratios.max() < _CONSTANT * ratios.min():
            _refuse(float(np.median(ratios)), 1.0, "energies", "eV", _ENERGY_UNITS, path)


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
    distances = {name: abs(math.log(max(ratio, 1e-30) / value)) for name, value in known.items()}
    near = sorted((name for name in known if distances[name] < math.log(1.5)), key=distances.get)  # type: ignore[arg-type]
    return f", as if in {' or '.join(near)}" if near else ""
