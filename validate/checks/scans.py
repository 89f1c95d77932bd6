"""Energies of candidate and reference along a stretched bond and a bent angle.

Small molecules show the bare terms, and an atom moved in a crystal shows them where they matter.
Nothing is aligned: the difference is that of total energies.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement, product
from typing import Final

import numpy as np

from m3compress.analysis.curves import Plot
from m3compress.models.structures.frames import Named
from m3compress.models.structures.scans import (
    Scan,
    scan_angle,
    scan_bond,
    scan_dimer,
    scan_molecule,
)
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.selection import (
    Found,
    bond_length,
    common_elements,
    largest,
    select,
)
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

_ELEMENTS: Final = 2  # of the most common ones
_CRYSTALS: Final = 2
_ENERGY: Final = "energy (eV)"

_SHORTEST: Final = 0.75  # bonds; closer than that no model has been trained
_DIMER_POINTS: Final = 40
#: Both legs of an angle are well inside the three-body cutoff, or there is no triplet.
_LONGEST_LEG: Final = 0.7  # of the three-body cutoff


def scan_dimers(context: Context, subject: Subject) -> Iterable[Scan]:
    """Two atoms from a compressed bond to beyond the cutoff."""
    for a, b in combinations_with_replacement(common_elements(context, subject, _ELEMENTS), 2):
        start = min(_SHORTEST * bond_length(a, b), 0.5 * subject.cutoff)
        yield scan_dimer(a, b, np.linspace(start, 1.04 * subject.cutoff, _DIMER_POINTS))


def scan_bonds(context: Context, subject: Subject) -> Iterable[Scan]:
    """One atom of a crystal moved along its shortest bond."""
    for entry in _crystals(context, subject):
        yield scan_bond(entry, subject.three_body_cutoff)


def scan_angles(context: Context, subject: Subject) -> Iterable[Scan]:
    """Molecules A-B-A bent from 60° to 180°, and one angle of a crystal bent by up to 16°."""
    elements = common_elements(context, subject, _ELEMENTS)
    for center, end in product(elements, elements):
        if center != end or len(elements) == 1:
            leg = min(bond_length(center, end), _LONGEST_LEG * subject.three_body_cutoff)
            yield scan_molecule(end, center, leg)
    for entry in _crystals(context, subject):
        scan = scan_angle(entry, subject.three_body_cutoff)
        if scan is not None:
            yield scan


def _crystals(context: Context, subject: Subject) -> tuple[Named, ...]:
    """Crystals of more than one element where there are any: their bonds are the stiff ones."""
    structures = select(context, subject, most=4 * _CRYSTALS, at_least=5, periodic=3)
    return tuple(sorted(structures, key=lambda e: -len(set(e.atoms.symbols))))[:_CRYSTALS]


def _compare(case: Case[Scan]) -> Found:
    """Largest difference of energies of subject and reference along a scan."""
    scan, reference = case.entry, case.context.reference_subject
    ours = np.array([case.subject.evaluate(atoms).energy for atoms in scan.frames])
    theirs = np.array([reference.evaluate(atoms).energy for atoms in scan.frames])
    difference = np.abs(ours - theirs)
    at = float(scan.x[int(np.argmax(np.nan_to_num(difference, nan=np.inf)))])
    plot = Plot(scan.figure, scan.structure, scan.x_label, _ENERGY)
    evidence = {"at": at, "x_label": scan.x_label}
    return Found(largest(difference), evidence, plot.both(scan.x, ours, theirs))


_ABSENT: Final = "no structure has such a scan"

CHECKS: Final[tuple[Check, ...]] = (
    on_structures(
        "smooth.dimer",
        "energies of dimers against the reference's, from compressed to beyond the cutoff",
        _compare,
        among=scan_dimers,
        absent=_ABSENT,
    ),
    on_structures(
        "smooth.bond",
        "energies of stretched bonds in crystals against the reference's",
        _compare,
        among=scan_bonds,
        absent=_ABSENT,
    ),
    on_structures(
        "smooth.angle",
        "energies of bent angles against the reference's",
        _compare,
        among=scan_angles,
        absent=_ABSENT,
    ),
)
