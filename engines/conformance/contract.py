"""The contract that every MD code with a model in it must keep, as one function.

>>> from m3compress.engines.conformance.contract import examine
>>> examine(code, reference, crystal).broken  # doctest: +SKIP
()
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.progress import silent
from m3compress.engines.conformance.agreement import agreement, compare, symmetries, told
from m3compress.engines.conformance.cells import sample_cells, set_in_motion, unknown_element
from m3compress.engines.conformance.code import Code, Motion
from m3compress.engines.conformance.limits import Limits
from m3compress.engines.conformance.report import Clause, Conformance, measured, not_given
from m3compress.errors import StructureError

_TEMPERATURE: Final = 300.0  # K
_DURATION: Final = 1000.0  # fs
_SETTLING: Final = 0.2  # of the run, before the drift is measured
_MEV: Final = 1000.0
_STEPS_TO_STOP: Final = 5
#: Our messages about a structure, but for coordinates, numbers and units, which codes may have
#: turned: LAMMPS counts from 1 and knows no letters but ASCII.
_LOST: Final = r"the position of atom \d+ .*is not finite"
_UNKNOWN: Final = r"does not know {}\b"
_OVERLAPPING: Final = r"atoms \d+ and \d+ .*apart"


def examine(
    code: Code,
    reference: Evaluator,
    crystal: Atoms,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    timestep: float = 2.0,
    reference_title: str = "the reference",
    report: Callable[[str, float], None] = silent,
) -> Conformance:
    """Judge a code by all clauses.

    Args:
        code: The code, with a model in it.
        reference: The same model by something known to be right.
        crystal: A cell near rest that the model describes, of two elements where it has two, and
            periodic in all directions; all other cells are made from it.
        limits: How far the code may be from the reference.
        timestep: Of molecular dynamics in fs.
        reference_title: What the report calls the reference.
        report: Told what is judged, and the part that is done.

    Raises:
        StructureError: If the crystal is not periodic in all directions or has fewer than 2 atoms.
        M3CompressError: If the reference cannot evaluate the crystal.
    """
    if not crystal.pbc.all() or len(crystal) < 2:
        raise StructureError(
            f"the crystal has {len(crystal)} atoms and pbc={crystal.pbc.tolist()}, "
            "expected at least 2 atoms in a cell periodic in all directions"
        )
    reference.evaluate(crystal)
    report("cells", 0.0)
    cells = sample_cells(crystal, reference.elements, reference.cutoff)
    pairs, clauses = compare(code, reference, cells)
    clauses += agreement(code, pairs, limits)
    report("symmetries", 0.2)
    clauses += symmetries(code, reference, pairs, limits)
    report("bad input", 0.4)
    clauses += _bad_input(code, reference, cells[0].atoms)
    report("dynamics", 0.5)
    clauses += _dynamics(code, crystal, limits, timestep)
    report("done", 1.0)
    return Conformance(code=code.title, reference=reference_title, clauses=tuple(clauses))


@dataclass(frozen=True, slots=True)
class _Bad:
    """A structure that has no meaningful energy, and a pattern of what is said of it."""

    name: str
    atoms: Atoms
    said: str


def _bad_input(code: Code, reference: Evaluator, atoms: Atoms) -> list[Clause]:
    """Each must raise an error of ours, or of the code with our message in it."""
    clauses = []
    static = _bad_structures(reference, atoms)
    for bad in static:
        raised = _raised_by(partial(code.evaluate, bad.atoms.copy()))
        clauses.append(_stopped(bad.name, raised, bad.said))
    if unknown_element(reference.elements) is None:
        clauses.append(not_given("unknown element", "the reference takes every element"))
    lost = set_in_motion(atoms, _TEMPERATURE)
    momenta = lost.get_momenta()
    momenta[0, 0] = np.nan
    lost.set_momenta(momenta)
    starts = [_Bad("a lost atom", lost, _LOST), *(bad for bad in static if bad.said != _LOST)]
    return [*clauses, _runs_stop(code, starts)]


def _bad_structures(reference: Evaluator, atoms: Atoms) -> list[_Bad]:
    lost, overlapping, foreign = atoms.copy(), atoms.copy(), atoms.copy()
    lost.positions[-1, 1] = np.nan
    overlapping.positions[1] = overlapping.positions[0]
    found = [_Bad("NaN", lost, _LOST), _Bad("overlapping atoms", overlapping, _OVERLAPPING)]
    symbol = unknown_element(reference.elements)
    if symbol is not None:
        foreign.symbols[0] = symbol
        found.insert(1, _Bad("unknown element", foreign, _UNKNOWN.format(symbol)))
    return found


def _raised_by(act: Callable[[], object]) -> Exception | None:
    try:
        act()
    except Exception as error:
        return error
    return None


def _stopped(name: str, raised: Exception | None, said: str) -> Clause:
    """Whether there was an error that says what we say of such a structure."""
    if raised is None:
        return Clause(name=name, holds=False, note="no error: it went on")
    ours = re.search(said, str(raised)) is not None
    return Clause(name=name, holds=ours, note=("" if ours else "not ours: ") + told(raised))


def _runs_stop(code: Code, starts: list[_Bad]) -> Clause:
    """Whether dynamics end with our message, from every start."""
    clauses = []
    for bad in starts:
        act = partial(code.run, bad.atoms.copy(), timestep=1.0, n_steps=_STEPS_TO_STOP)
        clause = _stopped("a run stops", _raised_by(act), bad.said)
        clauses.append(replace(clause, note=f"{bad.name}: {clause.note}"))
    return next((clause for clause in clauses if not clause.holds), clauses[0])


def _dynamics(code: Code, crystal: Atoms, limits: Limits, timestep: float) -> list[Clause]:
    """Is the energy of the code's own dynamics constant over a picosecond?"""
    names = ("energy in motion: drift", "energy in motion: departure")
    n_steps = round(_DURATION / timestep)
    start = set_in_motion(crystal, _TEMPERATURE)
    try:
        motion = code.run(start, timestep=timestep, n_steps=n_steps)
    except Exception as error:
        return [Clause(name=name, holds=False, note=told(error)) for name in names]
    if motion.times[-1] - motion.times[0] < 0.99 * _DURATION:
        note = f"the run ended after {motion.times[-1] - motion.times[0]:g} fs"
        return [Clause(name=name, holds=False, note=note) for name in names]
    note = f"{_DURATION / 1000:g} ps of {len(crystal)} atoms, steps of {timestep:g} fs"
    drift, departure = _departures(motion, len(crystal))
    return [
        measured(names[0], drift, limits.drift, "meV/atom/ps", note),
        measured(names[1], departure, limits.departure, "meV/atom", note),
    ]


def _departures(motion: Motion, n_atoms: int) -> tuple[float, float]:
    """|Slope| in meV/atom/ps and largest distance from the mean in meV/atom."""
    if not np.isfinite(motion.energies).all():
        return np.nan, np.nan
    energies = motion.energies * _MEV / n_atoms
    settled = motion.times >= _SETTLING * motion.times[-1]
    slope = np.polyfit(motion.times[settled] / 1000, energies[settled], 1)[0]
    return abs(float(slope)), float(np.abs(energies - energies.mean()).max())
