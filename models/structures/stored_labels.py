"""What a frame of a file says of its energy, forces and stress, all from one calculation.

A file may hold the labels of several: those of its calculator, and others under names of their own
(``REF_energy``). The energy of one and the forces of another fit together nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.contract.arrays import FloatArray
from m3compress.errors import StructureError
from m3compress.units import VOIGT

#: For every quantity, the key under which it is stored and the value.
Source = dict[str, tuple[str, FloatArray]]

_QUANTITIES: Final = ("energy", "forces", "stress")
#: Before the name of a quantity in extended XYZ, and one calculation each.
_PREFIXES: Final = ("REF_", "dft_", "DFT_", "ref_")
#: Labels beyond are garbage, and their squares would not be numbers: eV, eV/Å or eV/Å³.
_LARGEST: Final = 1e30
_CORRECT: Final = "correct the label, or leave the frame out"
#: Digits that files leave out, in eV, eV/Å and eV/Å³, and relative.
_ROUNDING: Final = 1e-5
_ROUNDING_RELATIVE: Final = 1e-6


def have_forces(frames: Sequence[Atoms]) -> bool:
    """Whether there are frames, and all of them have forces, whatever these are."""
    return bool(frames) and all(
        (atoms.calc is not None and "forces" in atoms.calc.results)
        or any(f"{prefix}forces" in atoms.arrays for prefix in _PREFIXES)
        for atoms in frames
    )


def labelled(atoms: Atoms, frame: str) -> Atoms:
    """The frame with nothing but its labels, as ASE's single-point results.

    Args:
        atoms: As it was read.
        frame: What to call it: "frame 0 of FILE".

    Returns:
        ``calc.results`` has forces (n_atoms, 3) and, where the file has them, energy and stress
        (6,), in the units of the file.

    Raises:
        StructureError: If it has no forces, a label that is not a finite number, or labels of
            several calculations.
    """
    found = _one_of(_sources(atoms, frame), frame)
    if "forces" not in found:
        raise StructureError(
            f"{frame} has no forces; it has {_contents(atoms)}",
            hint="extended XYZ with Properties=species:S:1:pos:R:3:forces:R:3 and energy=...",
        )
    results: dict[str, Any] = {name: value for name, (_, value) in found.items()}
    if "energy" in results:
        results["energy"] = float(results["energy"].item())
    plain = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    plain.calc = SinglePointCalculator(plain, **results)
    return plain


def _sources(atoms: Atoms, frame: str) -> list[Source]:
    """What every calculation says, that of the calculator first; none that says nothing."""
    results = {} if atoms.calc is None else atoms.calc.results
    stored: list[dict[str, tuple[str, Any]]] = [
        {name: (name, results[name]) for name in _QUANTITIES if results.get(name) is not None}
    ]
    for prefix in _PREFIXES:
        places = {"energy": atoms.info, "forces": atoms.arrays, "stress": atoms.info}
        keys = {name: prefix + name for name, place in places.items() if prefix + name in place}
        stored.append({name: (key, places[name][key]) for name, key in keys.items()})
    return [
        {
            name: (key, _checked(name, key, value, len(atoms), frame))
            for name, (key, value) in source.items()
        }
        for source in stored
        if source
    ]


def _one_of(sources: Sequence[Source], frame: str) -> Source:
    """The calculation with forces and energy, and what others add that are the same one.

    Raises:
        StructureError: If a quantity has two values, or some are of another calculation.
    """
    for number, source in enumerate(sources):
        for other in sources[:number]:
            _refuse_difference(other, source, frame)
    ranked = sorted(sources, key=lambda source: -2 * ("forces" in source) - ("energy" in source))
    found: Source = dict(ranked[0]) if ranked else {}
    for source in ranked[1:]:
        missing = [name for name in source if name not in found]
        if missing and not found.keys() & source.keys():
            ours, theirs = next(iter(found.values()))[0], source[missing[0]][0]
            raise StructureError(
                f"{frame} has labels of two calculations: {ours!r} and {theirs!r}",
                hint="store all labels of one calculation under names that begin the same, such as "
                "REF_energy and REF_forces, and leave the others out",
            )
        found.update({name: source[name] for name in missing})
    return found


def _refuse_difference(first: Source, second: Source, frame: str) -> None:
    for name in first.keys() & second.keys():
        (key, value), (other_key, other) = first[name], second[name]
        if np.allclose(value, other, rtol=_ROUNDING_RELATIVE, atol=_ROUNDING):
            continue
        apart = float(np.abs(value - other).max())
        raise StructureError(
            f"the {name} of {frame} is stored twice, and {key!r} and {other_key!r} differ by "
            f"{apart:.3g}, expected the labels of one calculation",
            hint="leave those out that are not to be used",
        )


def _checked(quantity: str, key: str, value: Any, n_atoms: int, frame: str) -> FloatArray:
    """A label as numbers: energy (), forces (n_atoms, 3), stress (6,) in Voigt order.

    Raises:
        StructureError: If it has another shape, or a value is not a finite number.
    """
    what = f"the {quantity} of {frame} ({key!r})"
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "iuf":
        raise StructureError(f"{what} is {_short(value)}, expected numbers", hint=_CORRECT)
    numbers = numbers.astype(np.float64)
    if quantity == "stress" and numbers.size == 9:  # the whole tensor
        tensor = numbers.reshape(3, 3)
        numbers = np.array([(tensor[i, j] + tensor[j, i]) / 2 for i, j in VOIGT])
    expected = {"energy": (), "forces": (n_atoms, 3), "stress": (6,)}[quantity]
    if numbers.shape != expected and not numbers.size == math.prod(expected) == 1:
        raise StructureError(
            f"{what} has the shape {numbers.shape}, expected {expected}", hint=_CORRECT
        )
    wrong = np.flatnonzero(~(np.abs(numbers.ravel()) < _LARGEST))
    if len(wrong):
        atoms = (int(wrong[0] // 3),) if quantity == "forces" else ()
        where = f" on atom {atoms[0]} (counting from 0)" if atoms else ""
        raise StructureError(
            f"{what} is {numbers.ravel()[wrong[0]]}{where}, expected finite numbers",
            hint=_CORRECT,
            atoms=atoms,
        )
    return numbers.reshape(expected)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _contents(atoms: Atoms) -> str:
    names = {*atoms.arrays, *atoms.info, *({} if atoms.calc is None else atoms.calc.results)}
    return ", ".join(sorted(names - {"numbers"}))
