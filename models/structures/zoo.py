"""A zoo of structures made from code alone: for inspection, the parity check and the gate.

Every structure follows from the chemical elements and the cutoffs of a model, so that a model of
two elements and one of 89 are shown the same kinds of trouble: tiny cells, surfaces, molecules,
empty neighbourhoods, both cutoffs. Needs neither torch nor data files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from ase.formula import Formula
from ase.spacegroup import crystal as from_spacegroup

from m3compress.errors import StructureError

#: Elements to show first, where the model knows them: common, solid, and of unlike sizes.
_FAMILIAR = (
    *("Si", "O", "Na", "Cl", "Ti", "Mo", "Al", "Mg", "Fe", "Cu", "Zn", "S", "Ca", "F", "Li", "W"),
    *("Ga", "As", "B", "C", "N", "P", "K", "Ni", "Ge", "Se", "Ag", "Te", "Cs", "Pb", "La", "H"),
)
_NOBLE = ("He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og")

#: Neighbours in a made-up crystal are never closer than this (Å): bond lengths of H or F are those
#: of molecules, and no model has seen an fcc crystal with them.
_CLOSEST_IN_CRYSTAL = 1.7
#: Nor is a bonded pair further apart than this part of the cutoff, or it would not be an edge.
_FURTHEST_BOND = 0.9
_SHORTEST_DIMER = 0.62  # Å
_RATTLE = 0.05  # Å, standard deviation of every Cartesian displacement
_SMALL_CELL = 8  # a smaller cell is repeated before it is rattled
_N_CRYSTALS = 6
_LARGEST_ALLOY = 8  # elements


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One structure.

    Attributes:
        name: Unique in the zoo; the same for every model where the structure is of the same kind.
        atoms: The structure.
        purpose: What it is there to reveal.
    """

    name: str
    atoms: Atoms
    purpose: str


@dataclass(frozen=True, slots=True)
class Crystal:
    """A crystal at rest.

    Attributes:
        name: Formula and prototype.
        atoms: One cell.
        measured: Whether the lattice constants were measured; else they are made up.
    """

    name: str
    atoms: Atoms
    measured: bool


#: Cubic crystals: (formula, prototype as ASE calls it, measured lattice constant in Å).
_CUBIC = (
    *(("Si", "diamond", 5.431), ("NaCl", "rocksalt", 5.640), ("Mo", "bcc", 3.147)),
    *(("Al", "fcc", 4.050), ("MgO", "rocksalt", 4.212), ("ZnS", "zincblende", 5.409)),
    *(("CsCl", "cesiumchloride", 4.123), ("CaF2", "fluorite", 5.463), ("Cu", "fcc", 3.615)),
    *(("LiF", "rocksalt", 4.026), ("GaAs", "zincblende", 5.653), ("W", "bcc", 3.165)),
    *(("Fe", "bcc", 2.867), ("Na", "bcc", 4.291), ("NaH", "rocksalt", 4.880)),
    *(("C", "diamond", 3.567), ("SiC", "zincblende", 4.360), ("Ge", "diamond", 5.658)),
    *(("Ni", "fcc", 3.524), ("Ag", "fcc", 4.085), ("Li", "bcc", 3.510)),
    *(("Nb", "bcc", 3.301), ("Pt", "fcc", 3.924), ("Au", "fcc", 4.078)),
    *(("Pb", "fcc", 4.951), ("K", "bcc", 5.328), ("CeO2", "fluorite", 5.411)),
)


def _rutile(metal: str, a: float, c: float, x: float) -> Atoms:
    sites = [(0, 0, 0), (x, x, 0)]
    return from_spacegroup([metal, "O"], sites, spacegroup=136, cellpar=[a, a, c, 90, 90, 90])


def _quartz() -> Atoms:
    sites = [(0.4697, 0, 1 / 3), (0.4135, 0.2669, 0.2144)]
    return from_spacegroup(
        ["Si", "O"], sites, spacegroup=152, cellpar=[4.916, 4.916, 5.405, 90, 90, 120]
    )


def _borohydride() -> Atoms:
    """Cubic NaBH4 with its tetrahedra ordered (F-43m), B-H as calculated rather than by X-rays."""
    salt = bulk("NaB", "rocksalt", a=6.148)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    return salt + Atoms("H4", positions=salt.positions[1] + 1.22 * corners)


_FURTHER: dict[tuple[str, str], Callable[[], Atoms]] = {
    ("TiO2", "rutile"): partial(_rutile, "Ti", 4.594, 2.959, 0.3053),
    ("SiO2", "quartz"): _quartz,
    ("SiO2", "stishovite"): partial(_rutile, "Si", 4.180, 2.667, 0.3061),
    ("NaBH4", "borohydride"): _borohydride,
}


def build_zoo(
    elements: Sequence[str], *, cutoff: float, three_body_cutoff: float, large: bool = True
) -> tuple[ZooEntry, ...]:
    """The whole zoo, the same on every call.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å.
        three_body_cutoff: Cutoff of the three-body block in Å.
        large: Include the cells of about 1000 and 2000 atoms.

    Returns:
        At least 24 structures of 1 to 2000 atoms with unique names.

    Raises:
        StructureError: If ``elements`` is empty or holds something that is no element.
    """
    crystals = choose_crystals(elements, cutoff=cutoff)
    a, b = _pair(elements)
    bond = _bond(a, b, cutoff)
    # Where the cutoffs are equal there is nothing between them; close to the cutoff then serves.
    between = (cutoff + three_body_cutoff) / 2 if three_body_cutoff < cutoff else 0.95 * cutoff
    return (
        *equilibrium_and_rattled(elements, cutoff=cutoff),
        *_strained(crystals),
        *_tiny_cells(a, cutoff),
        *_supercells(crystals, large=large),
        *_open_boundaries(crystals[0].atoms, a, b, bond),
        *_dimers(a, b, bond, cutoff, between),
        *_sparse(a, b, cutoff, between),
        *_dense(elements, a, cutoff),
    )


def equilibrium_and_rattled(
    elements: Sequence[str], *, cutoff: float = 5.0
) -> tuple[ZooEntry, ...]:
    """Small crystals of 1–40 atoms, each at rest and rattled; fast enough for every inspection.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å; matters only for crystals made up from covalent radii.

    Raises:
        StructureError: If ``elements`` is empty or holds something that is no element.
    """
    entries = []
    for seed, crystal in enumerate(choose_crystals(elements, cutoff=cutoff)):
        entries += [
            ZooEntry(crystal.name, crystal.atoms, "forces at rest, energy per atom"),
            ZooEntry(f"{crystal.name}-rattled", rattled(crystal.atoms, seed), "restoring forces"),
        ]
    return tuple(entries)


def choose_crystals(elements: Sequence[str], *, cutoff: float) -> tuple[Crystal, ...]:
    """Measured crystals of known elements, and made-up ones until there are enough.

    Raises:
        StructureError: If ``elements`` is empty or holds something that is no element.
    """
    unknown = [symbol for symbol in elements if symbol not in atomic_numbers]
    if unknown or not elements:
        raise StructureError(f"expected chemical symbols, got {unknown or 'none'}")
    known = known_crystals(elements)[:_N_CRYSTALS]
    made_up = _made_up_crystals(*_pair(elements), cutoff)
    return (*known, *made_up[: max(0, _N_CRYSTALS - len(known))])


def known_crystals(elements: Sequence[str]) -> tuple[Crystal, ...]:
    """All crystals with measured lattice constants that hold nothing but ``elements``."""
    makers: dict[tuple[str, str], Callable[[], Atoms]] = {
        (formula, prototype): partial(_cubic, formula, prototype, lattice_constant)
        for formula, prototype, lattice_constant in _CUBIC
    }
    # Silicon first, then two oxides: in those, no symmetry makes the forces vanish.
    leading = {**dict(islice(makers.items(), 1)), **dict(islice(_FURTHER.items(), 2))}
    ordered: dict[tuple[str, str], Callable[[], Atoms]] = {**leading, **makers, **_FURTHER}
    return tuple(
        Crystal(name=f"{formula}-{prototype}", atoms=make(), measured=True)
        for (formula, prototype), make in ordered.items()
        if set(Formula(formula).count()) <= set(elements)
    )


def _cubic(formula: str, prototype: str, lattice_constant: float) -> Atoms:
    """A primitive cell; a formula of one or two elements, whose order is that of the sites."""
    if prototype in ("diamond", "fcc", "bcc"):
        return bulk(formula, prototype, a=lattice_constant)
    one, other = Formula(formula).count()
    atoms = bulk("CaF2" if prototype == "fluorite" else "NaCl", prototype, a=lattice_constant)
    atoms.symbols = [one] + [other] * (len(atoms) - 1)
    return atoms


def repeated(atoms: Atoms) -> Atoms:
    """A copy, repeated along its shortest axes to at least 8 atoms."""
    while len(atoms) < _SMALL_CELL:
        atoms = atoms.repeat(1 + np.eye(3, dtype=int)[np.argmin(atoms.cell.lengths())])
    return atoms.copy()


def rattled(atoms: Atoms, seed: int, *, width: float = _RATTLE) -> Atoms:
    """The :func:`repeated` cell with normal displacements of ``width`` Å that sum to zero."""
    copy = repeated(atoms)
    displacements = np.random.default_rng(seed).normal(0.0, width, (len(copy), 3))
    copy.positions += displacements - displacements.mean(axis=0)
    return copy


def _pair(elements: Sequence[str]) -> tuple[str, str]:
    """The two most familiar elements (twice the same where there is only one), the larger first."""
    familiar = [symbol for symbol in _FAMILIAR if symbol in elements]
    rest = sorted(set(elements) - {*familiar, *_NOBLE}, key=atomic_numbers.__getitem__)
    noble = [symbol for symbol in _NOBLE if symbol in elements]
    ranked = [*familiar, *rest, *noble]
    first, second = ranked[0], ranked[min(1, len(ranked) - 1)]
    return (first, second) if _radius(first) >= _radius(second) else (second, first)


def _radius(symbol: str) -> float:
    return float(covalent_radii[atomic_numbers[symbol]])


def _bond(a: str, b: str, cutoff: float) -> float:
    """Length of a bond in Å, from covalent radii, inside the cutoff."""
    return min(max(_radius(a) + _radius(b), _SHORTEST_DIMER), _FURTHEST_BOND * cutoff)


def _spacing(a: str, b: str, cutoff: float) -> float:
    """Distance of neighbours in a made-up crystal in Å."""
    return min(max(_bond(a, b, cutoff), _CLOSEST_IN_CRYSTAL), _FURTHEST_BOND * cutoff)


def _made_up_crystals(a: str, b: str, cutoff: float) -> tuple[Crystal, ...]:
    """Elemental and binary prototypes with neighbours at the sum of the covalent radii."""
    same, mixed = _spacing(a, a, cutoff), _spacing(a, b, cutoff)
    # (prototype, a cell to put the elements in, lattice constant in Å)
    prototypes = (
        ("fcc", "Cu", same * 2**0.5),
        ("rocksalt", "NaCl", mixed * 2),
        ("bcc", "Cu", same * 2 / 3**0.5),
        ("zincblende", "NaCl", mixed * 4 / 3**0.5),
        ("cesiumchloride", "NaCl", mixed * 2 / 3**0.5),
        ("fluorite", "CaF2", mixed * 4 / 3**0.5),
    )
    made = []
    for prototype, template, lattice_constant in prototypes:
        atoms = bulk(template, prototype, a=lattice_constant)
        atoms.symbols = [a] + [b] * (len(atoms) - 1)
        made.append(Crystal(name=f"made-up-{prototype}", atoms=atoms, measured=False))
    return tuple(made)


def _grown(atoms: Atoms, n_atoms: int) -> Atoms:
    """The roundest supercell of at most ``n_atoms`` atoms."""
    repeats = np.ones(3, dtype=int)
    lengths = atoms.cell.lengths()
    while True:
        axis = int(np.argmin(lengths * repeats))
        larger = repeats + np.eye(3, dtype=int)[axis]
        if len(atoms) * larger.prod() > n_atoms:
            return atoms.repeat(repeats)
        repeats = larger


def _with_cell(atoms: Atoms, deformation: np.ndarray) -> Atoms:
    """A copy whose cell rows are multiplied by ``deformation`` (3, 3)."""
    copy = atoms.copy()
    copy.set_cell(copy.cell.array @ deformation, scale_atoms=True)
    return copy


def _strained(crystals: Sequence[Crystal]) -> tuple[ZooEntry, ...]:
    first, second = crystals[0].atoms, crystals[1].atoms
    shear = np.array([[1.0, 0.12, -0.05], [0.0, 1.0, 0.09], [0.0, 0.0, 1.0]])
    tilted = np.array([[1.02, 0.0, 0.0], [0.38, 0.98, 0.0], [-0.21, 0.27, 1.01]])
    outside = rattled(second, 14)
    shifts = np.random.default_rng(14).integers(-3, 4, (len(outside), 3))
    outside.positions += shifts @ outside.cell.array
    return (
        *(
            ZooEntry(f"{name}-{index}", rattled(_with_cell(crystal.atoms, scale), index), purpose)
            for index, crystal in enumerate(crystals[:2])
            for name, scale, purpose in (
                ("compressed", np.eye(3) * 0.92 ** (1 / 3), "volume 8 % smaller"),
                ("expanded", np.eye(3) * 1.10 ** (1 / 3), "volume 10 % larger"),
            )
        ),
        ZooEntry("sheared", rattled(_with_cell(first, shear), 10), "off-diagonal stress"),
        ZooEntry("triclinic", rattled(_with_cell(second, tilted), 11), "very oblique cell"),
        ZooEntry("unwrapped", outside, "atoms whole cells away from the cell"),
        ZooEntry("vacancy", rattled(_grown(first, 32), 12)[1:], "a missing neighbour"),
    )


def _tiny_cells(a: str, cutoff: float) -> tuple[ZooEntry, ...]:
    spacing = _spacing(a, a, cutoff)
    oblique = np.array([[1.0, 0.0, 0.0], [0.08, 1.04, 0.0], [0.04, 0.12, 1.08]]) * spacing
    alone = bulk(a, "fcc", a=spacing * np.sqrt(2))
    return (
        ZooEntry("one-atom-cell", alone, "every neighbour is an image of the atom itself"),
        ZooEntry("one-atom-oblique", Atoms(a, cell=oblique, pbc=True), "self-images, no symmetry"),
    )


def _supercells(crystals: Sequence[Crystal], *, large: bool) -> tuple[ZooEntry, ...]:
    sizes = (200, 1000, 2000) if large else (200,)
    return tuple(
        ZooEntry(
            f"supercell-{size}",
            rattled(_grown(crystals[index % len(crystals)].atoms, size), 20 + index),
            f"about {size} atoms: many tiles, no self-images",
        )
        for index, size in enumerate(sizes)
    )


def _open_boundaries(crystal: Atoms, a: str, b: str, bond: float) -> tuple[ZooEntry, ...]:
    block = rattled(_grown(crystal, 48), 30)
    slab, wire, cluster = block.copy(), block.copy(), block.copy()
    slab.pbc, wire.pbc, cluster.pbc = (True, True, False), (False, False, True), False
    slab.center(vacuum=6.0, axis=2)
    cluster.cell = None
    directions = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    molecule = Atoms([a, b, b, b, b], positions=[[0, 0, 0], *(max(bond, 1.0) * directions)])
    molecule.rattle(0.04, seed=31)
    return (
        ZooEntry("slab", slab, "periodic along two axes only"),
        ZooEntry("wire", wire, "periodic along one axis only"),
        ZooEntry("cluster", cluster, "no cell at all"),
        ZooEntry("molecule", molecule, "five atoms in empty space"),
    )


def _dimers(a: str, b: str, bond: float, cutoff: float, between: float) -> tuple[ZooEntry, ...]:
    def dimer(one: str, other: str, distance: float) -> Atoms:
        return Atoms([one, other], positions=[[0, 0, 0], [0, 0, distance]])

    short = max(0.85 * bond, _SHORTEST_DIMER)
    return (
        ZooEntry("dimer", dimer(a, b, bond), "one edge each way, no triplet"),
        ZooEntry("dimer-same", dimer(a, a, _bond(a, a, cutoff)), "the same of one element"),
        ZooEntry("dimer-short", dimer(a, b, short), "steep repulsion"),
        ZooEntry("dimer-between", dimer(a, b, between), "beyond the three-body cutoff only"),
        ZooEntry("dimer-at-cutoff", dimer(a, b, 0.999 * cutoff), "basis and taper almost zero"),
    )


def _sparse(a: str, b: str, cutoff: float, between: float) -> tuple[ZooEntry, ...]:
    step = 0.55 * cutoff
    collinear = Atoms([a, b, a], positions=[[0, 0, 0], [0, 0, step], [0, 0, 2 * step]])
    # cos θ = −1 exactly at the middle atom, and +1 at the ends once the far atom is in reach.
    close = Atoms([a, b, a], positions=[[0, 0, z * 0.45 * cutoff] for z in range(3)])
    far = Atoms([a, b], positions=[[0, 0, 0], [0, 0, 3 * cutoff]])
    lonely = Atoms(a, cell=np.eye(3) * 3 * cutoff, pbc=True)
    one_neighbor = Atoms(
        [a, b, a, b], positions=[[0, 0, 0], [0, 0, step], [step, 0, 0], [0, 0, step + 0.9 * cutoff]]
    )
    wide = Atoms(a, cell=np.eye(3) * between, pbc=True)
    return (
        ZooEntry("isolated-atom", Atoms(a), "no edge at all"),
        ZooEntry("isolated-periodic", lonely, "no edge, but a cell"),
        ZooEntry("far-apart", far, "two atoms that do not see each other"),
        ZooEntry("one-neighbor", one_neighbor, "an atom with exactly one neighbour"),
        ZooEntry("collinear", collinear, "angles of exactly 180°"),
        ZooEntry("collinear-close", close, "angles of exactly 0° and 180°"),
        ZooEntry("between-cutoffs", wide, "all neighbours beyond the three-body cutoff"),
    )


def _dense(elements: Sequence[str], a: str, cutoff: float) -> tuple[ZooEntry, ...]:
    crowded = bulk(a, "fcc", a=0.9 * _spacing(a, a, cutoff) * np.sqrt(2), cubic=True)
    usable = [symbol for symbol in elements if symbol not in _NOBLE] or list(elements)
    rows = np.linspace(0, len(usable) - 1, min(_LARGEST_ALLOY, len(usable))).astype(int)
    chosen = [usable[row] for row in rows]
    radii = sorted(_radius(symbol) for symbol in chosen)
    largest = sum(radii[-2:]) if len(radii) > 1 else 2 * radii[0]
    spacing = min(max(0.9 * largest, _CLOSEST_IN_CRYSTAL), _FURTHEST_BOND * cutoff)
    alloy = bulk("Cu", "fcc", a=spacing * np.sqrt(2), cubic=True).repeat(2)
    rng = np.random.default_rng(40)
    alloy.symbols = rng.permutation([chosen[k % len(chosen)] for k in range(len(alloy))])
    return (
        ZooEntry("high-coordination", rattled(crowded, 41), "the most neighbours per atom"),
        ZooEntry("alloy", rattled(alloy, 42), "many elements in one structure"),
    )
