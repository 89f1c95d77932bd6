"""Crystals with measured lattice parameters: each is defined here, once, and nowhere else.

Needs neither torch nor data files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from ase.formula import Formula
from ase.spacegroup import crystal as from_spacegroup

from m3compress.errors import StructureError
from m3compress.models.structures.frames import AT_REST, Named
from m3compress.models.structures.made_up import made_up_crystals

_N_CHOSEN: Final = 6

#: An element and its fractional coordinates.
Site = tuple[str, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Crystal:
    """How one crystal is built.

    Attributes:
        formula: Of one unit, such as ``SiO2``.
        prototype: Its structure type, or the name of the mineral.
        lattice: Measured lattice parameters that the symmetry leaves free, in Å and degrees: a; a
            and c; or a, b, c and β.
        make: Builds one cell with such parameters.
    """

    formula: str
    prototype: str
    lattice: tuple[float, ...]
    make: Callable[..., Atoms]

    @property
    def name(self) -> str:
        """Unique: formula and prototype."""
        return f"{self.formula}-{self.prototype}"

    def build(self, *lattice: float) -> Atoms:
        """One cell at rest.

        Args:
            lattice: Lattice parameters in place of the measured ones; all of them, or none.
        """
        return self.make(*(lattice or self.lattice))


def _cubic(formula: str, prototype: str, a: float) -> Crystal:
    return Crystal(formula, prototype, (a,), partial(_primitive, formula, prototype))


def _primitive(formula: str, prototype: str, a: float) -> Atoms:
    """A primitive cell; a formula of one or two elements, whose order is that of the sites."""
    if prototype in ("diamond", "fcc", "bcc"):
        return bulk(formula, prototype, a=a)
    one, other = Formula(formula).count()
    atoms = bulk("CaF2" if prototype == "fluorite" else "NaCl", prototype, a=a)
    atoms.symbols = [one] + [other] * (len(atoms) - 1)
    return atoms


def _symmetric(
    name: str, spacegroup: int, lattice: tuple[float, ...], *sites: Site, primitive: bool = False
) -> Crystal:
    """A crystal by its symmetry; ``primitive`` leaves the centring of the cell out."""
    formula, _, prototype = name.partition("-")
    make = partial(_on_sites, spacegroup, sites, primitive=primitive)
    return Crystal(formula, prototype, lattice, make)


def _on_sites(spacegroup: int, sites: Sequence[Site], *lattice: float, primitive: bool) -> Atoms:
    symbols, basis = zip(*sites, strict=True)
    cell = _cell_parameters(spacegroup, *lattice)
    return from_spacegroup(
        list(symbols), list(basis), spacegroup=spacegroup, cellpar=cell, primitive_cell=primitive
    )


def _cell_parameters(spacegroup: int, a: float, *others: float) -> list[float]:
    """Lengths and angles of a cubic, hexagonal, tetragonal or monoclinic cell."""
    if not others:
        return [a, a, a, 90, 90, 90]
    if len(others) == 1:
        return [a, a, others[0], 90, 90, 120 if 143 <= spacegroup <= 194 else 90]
    b, c, beta = others
    return [a, b, c, 90, beta, 90]


def _rutile(name: str, a: float, c: float, x: float) -> Crystal:
    metal = next(iter(Formula(name.partition("-")[0]).count()))
    return _symmetric(name, 136, (a, c), (metal, (0, 0, 0)), ("O", (x, x, 0)))


def _borohydride(a: float) -> Atoms:
    """Cubic NaBH4 with its tetrahedra ordered (F-43m), B-H as calculated rather than by X-rays."""
    salt = bulk("NaB", "rocksalt", a=a)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    return salt + Atoms("H4", positions=salt.positions[1] + 1.22 * corners)


#: In the order in which a zoo shows them. Silicon first, then two oxides: in those, no symmetry
#: makes the forces vanish.
_FAMILIAR: Final = (
    _cubic("Si", "diamond", 5.431),
    _rutile("TiO2-rutile", 4.594, 2.959, 0.3053),
    _symmetric(
        "SiO2-quartz",  # P3₁21
        152,
        (4.916, 5.405),
        ("Si", (0.4697, 0, 1 / 3)),
        ("O", (0.4135, 0.2669, 0.2144)),
    ),
    *(_cubic("NaCl", "rocksalt", 5.640), _cubic("Mo", "bcc", 3.147)),
    *(_cubic("Al", "fcc", 4.050), _cubic("MgO", "rocksalt", 4.212)),
    *(_cubic("ZnS", "zincblende", 5.409), _cubic("CsCl", "cesiumchloride", 4.123)),
    *(_cubic("CaF2", "fluorite", 5.463), _cubic("Cu", "fcc", 3.615)),
    *(_cubic("LiF", "rocksalt", 4.026), _cubic("GaAs", "zincblende", 5.653)),
    *(_cubic("W", "bcc", 3.165), _cubic("Fe", "bcc", 2.867), _cubic("Na", "bcc", 4.291)),
    *(_cubic("NaH", "rocksalt", 4.880), _cubic("C", "diamond", 3.567)),
    *(_cubic("SiC", "zincblende", 4.360), _cubic("Ge", "diamond", 5.658)),
    *(_cubic("Ni", "fcc", 3.524), _cubic("Ag", "fcc", 4.085), _cubic("Li", "bcc", 3.510)),
    *(_cubic("Nb", "bcc", 3.301), _cubic("Pt", "fcc", 3.924), _cubic("Au", "fcc", 4.078)),
    *(_cubic("Pb", "fcc", 4.951), _cubic("K", "bcc", 5.328), _cubic("CeO2", "fluorite", 5.411)),
    _rutile("SiO2-stishovite", 4.180, 2.667, 0.3061),
    Crystal("NaBH4", "borohydride", (6.148,), _borohydride),
)

#: Further polymorphs of silicon and silica, by name alone: zoo and gate do without them.
_POLYMORPHS: Final = (
    _symmetric("Si-beta-tin", 141, (4.69, 2.58), ("Si", (0, 0, 0))),  # at 12 GPa
    _symmetric(
        "SiO2-alpha-cristobalite",
        92,
        (4.9717, 6.9223),
        ("Si", (0.3003, 0.3003, 0)),
        ("O", (0.2392, 0.1044, 0.1787)),
    ),
    # The idealised structure, with straight Si-O-Si and short bonds.
    _symmetric(
        "SiO2-beta-cristobalite",
        227,
        (7.16,),
        ("Si", (0, 0, 0)),
        ("O", (0.125, 0.125, 0.125)),
    ),
    _symmetric(
        "SiO2-tridymite",  # hexagonal, as it is above 460 °C; idealised in the same way
        194,
        (5.052, 8.27),
        ("Si", (1 / 3, 2 / 3, 0.062)),
        ("O", (1 / 3, 2 / 3, 0.25)),
        ("O", (0.5, 0, 0)),
    ),
    _symmetric(
        "SiO2-coesite",
        15,
        (7.1356, 12.3692, 7.1736, 120.34),
        ("Si", (0.1403, 0.1083, 0.0724)),
        ("Si", (0.5068, 0.1580, 0.5405)),
        ("O", (0, 0, 0)),
        ("O", (0.5, 0.1163, 0.75)),
        ("O", (0.2661, 0.1234, 0.9401)),
        ("O", (0.3114, 0.1038, 0.3282)),
        ("O", (0.0173, 0.2117, 0.4784)),
        primitive=True,
    ),
)

#: Every crystal by name.
CRYSTALS: Final = {crystal.name: crystal for crystal in (*_FAMILIAR, *_POLYMORPHS)}


def build_crystal(name: str, *lattice: float) -> Atoms:
    """One cell of a crystal at rest.

    Args:
        name: Formula and prototype, such as ``SiO2-quartz``; one of :data:`CRYSTALS`.
        lattice: Lattice parameters in place of the measured ones (Å and degrees; a; a and c; or
            a, b, c and β); all of them, or none.

    Raises:
        StructureError: If there is no such crystal.
    """
    if name not in CRYSTALS:
        raise StructureError(
            f"there is no crystal {name!r}", hint=f"choose from {', '.join(CRYSTALS)}"
        )
    return CRYSTALS[name].build(*lattice)


def known_crystals(elements: Sequence[str]) -> tuple[Named, ...]:
    """The familiar crystals that hold nothing but ``elements``, at rest."""
    return tuple(
        Named(crystal.name, crystal.build(), purpose=AT_REST)
        for crystal in _FAMILIAR
        if set(Formula(crystal.formula).count()) <= set(elements)
    )


def choose_crystals(elements: Sequence[str], *, cutoff: float) -> tuple[Named, ...]:
    """Six crystals of known elements: measured ones, and made-up ones until there are enough.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å; matters only for made-up crystals.

    Raises:
        StructureError: If ``elements`` is empty or holds something that is no element.
    """
    unknown = [symbol for symbol in elements if symbol not in atomic_numbers]
    if unknown or not elements:
        raise StructureError(f"expected chemical symbols, got {unknown or 'none'}")
    known = known_crystals(elements)[:_N_CHOSEN]
    made_up = made_up_crystals(elements, cutoff)
    return (*known, *made_up[: max(0, _N_CHOSEN - len(known))])
