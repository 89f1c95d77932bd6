"""A zoo of structures made from code alone: for inspection, the parity check and the gate.

Every structure follows from the chemical elements and the cutoffs of a model, so that a model of
two elements and one of 89 are shown the same kinds of trouble: tiny cells, surfaces, molecules,
empty neighbourhoods, both cutoffs. Needs neither torch nor data files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms
from ase.build import bulk

from m3compress.models.structures import made_up
from m3compress.models.structures.crystals import choose_crystals
from m3compress.models.structures.frames import Named
from m3compress.models.structures.supercell import repeated, roundest_supercell

_RATTLE: Final = 0.05  # Å, standard deviation of every Cartesian displacement
_LARGEST_ALLOY: Final = 8  # elements


def build_zoo(
    elements: Sequence[str], *, cutoff: float, three_body_cutoff: float, large: bool = True
) -> tuple[Named, ...]:
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
    a, b = made_up.telling_pair(elements)
    bond = made_up.bond(a, b, cutoff)
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
        _at_cutoff(a, b, three_body_cutoff),
        *_dense(elements, a, cutoff),
    )


def equilibrium_and_rattled(elements: Sequence[str], *, cutoff: float = 5.0) -> tuple[Named, ...]:
    """Small crystals of 1–40 atoms, each at rest and rattled; fast enough for every inspection.

    Args:
        elements: Chemical symbols that the model knows.
        cutoff: Cutoff of the edges in Å; matters only for crystals made up from covalent radii.

    Raises:
        StructureError: If ``elements`` is empty or holds something that is no element.
    """
    entries = []
    for seed, crystal in enumerate(choose_crystals(elements, cutoff=cutoff)):
        moved = rattled(crystal.atoms, seed)
        entries += [
            crystal,
            Named(f"{crystal.name}-rattled", moved, crystal.kind, "restoring forces"),
        ]
    return tuple(entries)


def rattled(atoms: Atoms, seed: int, *, width: float = _RATTLE) -> Atoms:
    """The :func:`repeated` cell with normal displacements of ``width`` Å that sum to zero."""
    return _displaced(repeated(atoms), seed, width)


def _displaced(atoms: Atoms, seed: int, width: float = _RATTLE) -> Atoms:
    copy = atoms.copy()
    displacements = np.random.default_rng(seed).normal(0.0, width, (len(copy), 3))
    copy.positions += displacements - displacements.mean(axis=0)
    return copy


def _altered(name: str, atoms: Atoms, purpose: str) -> Named:
    return Named(name, atoms, "altered", purpose)


def _extreme(name: str, atoms: Atoms, purpose: str) -> Named:
    return Named(name, atoms, "extreme", purpose)


def _with_cell(atoms: Atoms, deformation: np.ndarray) -> Atoms:
    """A copy whose cell rows are multiplied by ``deformation`` (3, 3)."""
    copy = atoms.copy()
    copy.set_cell(copy.cell.array @ deformation, scale_atoms=True)
    return copy


def _strained(crystals: Sequence[Named]) -> tuple[Named, ...]:
    first, second = crystals[0].atoms, crystals[1].atoms
    shear = np.array([[1.0, 0.12, -0.05], [0.0, 1.0, 0.09], [0.0, 0.0, 1.0]])
    tilted = np.array([[1.02, 0.0, 0.0], [0.38, 0.98, 0.0], [-0.21, 0.27, 1.01]])
    outside = rattled(second, 14)
    shifts = np.random.default_rng(14).integers(-3, 4, (len(outside), 3))
    outside.positions += shifts @ outside.cell.array
    return (
        *(
            _altered(f"{name}-{index}", rattled(_with_cell(crystal.atoms, scale), index), purpose)
            for index, crystal in enumerate(crystals[:2])
            for name, scale, purpose in (
                ("compressed", np.eye(3) * 0.92 ** (1 / 3), "volume 8 % smaller"),
                ("expanded", np.eye(3) * 1.10 ** (1 / 3), "volume 10 % larger"),
            )
        ),
        _altered("sheared", rattled(_with_cell(first, shear), 10), "off-diagonal stress"),
        _extreme("triclinic", rattled(_with_cell(second, tilted), 11), "very oblique cell"),
        _altered("unwrapped", outside, "atoms whole cells away from the cell"),
        _altered("vacancy", rattled(roundest_supercell(first, 32), 12)[1:], "a missing neighbour"),
    )


def _tiny_cells(a: str, cutoff: float) -> tuple[Named, ...]:
    spacing = made_up.spacing(a, a, cutoff)
    oblique = np.array([[1.0, 0.0, 0.0], [0.08, 1.04, 0.0], [0.04, 0.12, 1.08]]) * spacing
    alone = bulk(a, "fcc", a=spacing * np.sqrt(2))
    return (
        _extreme("one-atom-cell", alone, "every neighbour is an image of the atom itself"),
        _extreme("one-atom-oblique", Atoms(a, cell=oblique, pbc=True), "self-images, no symmetry"),
    )


def _supercells(crystals: Sequence[Named], *, large: bool) -> tuple[Named, ...]:
    sizes = (200, 1000, 2000) if large else (200,)
    return tuple(
        _supercell(crystals[index % len(crystals)].atoms, size, 20 + index)
        for index, size in enumerate(sizes)
    )


def _supercell(crystal: Atoms, size: int, seed: int) -> Named:
    """A small cell without symmetry, repeated: a reference need not see all of it."""
    whole = roundest_supercell(crystal, size)
    repeats = np.rint(whole.cell.lengths() / crystal.cell.lengths()).astype(int)
    inner = np.array([next((d for d in (2, 3) if n % d == 0), 1) for n in repeats])
    cell = _displaced(crystal.repeat(inner), seed)
    return Named(
        f"supercell-{size}",
        cell.repeat(repeats // inner),
        kind="altered",
        purpose=f"about {size} atoms: many tiles, no self-images",
        cell=cell,
    )


def _open_boundaries(crystal: Atoms, a: str, b: str, bond: float) -> tuple[Named, ...]:
    block = rattled(roundest_supercell(crystal, 48), 30)
    slab, wire, cluster = block.copy(), block.copy(), block.copy()
    slab.pbc, wire.pbc, cluster.pbc = (True, True, False), (False, False, True), False
    slab.center(vacuum=6.0, axis=2)
    cluster.cell = None
    directions = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    molecule = Atoms([a, b, b, b, b], positions=[[0, 0, 0], *(max(bond, 1.0) * directions)])
    molecule.rattle(0.04, seed=31)
    return (
        _extreme("slab", slab, "periodic along two axes only"),
        _extreme("wire", wire, "periodic along one axis only"),
        _extreme("cluster", cluster, "no cell at all"),
        _extreme("molecule", molecule, "five atoms in empty space"),
    )


def _dimers(a: str, b: str, bond: float, cutoff: float, between: float) -> tuple[Named, ...]:
    def dimer(one: str, other: str, distance: float) -> Atoms:
        return Atoms([one, other], positions=[[0, 0, 0], [0, 0, distance]])

    short = max(0.85 * bond, made_up.SHORTEST_DIMER)
    return (
        _extreme("dimer", dimer(a, b, bond), "one edge each way, no triplet"),
        _extreme("dimer-same", dimer(a, a, made_up.bond(a, a, cutoff)), "the same of one element"),
        _extreme("dimer-short", dimer(a, b, short), "steep repulsion"),
        _extreme("dimer-between", dimer(a, b, between), "beyond the three-body cutoff only"),
        _extreme("dimer-at-cutoff", dimer(a, b, 0.999 * cutoff), "basis and taper almost zero"),
    )


def _sparse(a: str, b: str, cutoff: float, between: float) -> tuple[Named, ...]:
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
        _extreme("isolated-atom", Atoms(a), "no edge at all"),
        _extreme("isolated-periodic", lonely, "no edge, but a cell"),
        _extreme("far-apart", far, "two atoms that do not see each other"),
        _extreme("one-neighbor", one_neighbor, "an atom with exactly one neighbour"),
        _extreme("collinear", collinear, "angles of exactly 180°"),
        _extreme("collinear-close", close, "angles of exactly 0° and 180°"),
        _extreme("between-cutoffs", wide, "all neighbours beyond the three-body cutoff"),
    )


def _at_cutoff(a: str, b: str, three_body_cutoff: float) -> Named:
    """Rocksalt whose lattice constant is the cutoff: some neighbours are exactly at it."""
    lattice = bulk("NaCl", "rocksalt", a=three_body_cutoff)
    lattice.symbols = [a, b]
    return _extreme("at-three-body-cutoff", lattice, "legs that end exactly where triplets do")


def _dense(elements: Sequence[str], a: str, cutoff: float) -> tuple[Named, ...]:
    crowded = bulk(a, "fcc", a=0.9 * made_up.spacing(a, a, cutoff) * np.sqrt(2), cubic=True)
    usable = [symbol for symbol in elements if symbol not in made_up.NOBLE] or list(elements)
    rows = np.linspace(0, len(usable) - 1, min(_LARGEST_ALLOY, len(usable))).astype(int)
    chosen = [usable[row] for row in rows]
    radii = sorted(made_up.radius(symbol) for symbol in chosen)
    largest = sum(radii[-2:]) if len(radii) > 1 else 2 * radii[0]
    spacing = min(max(0.9 * largest, made_up.CLOSEST_IN_CRYSTAL), made_up.FURTHEST_BOND * cutoff)
    alloy = bulk("Cu", "fcc", a=spacing * np.sqrt(2), cubic=True).repeat(2)
    rng = np.random.default_rng(40)
    alloy.symbols = rng.permutation([chosen[k % len(chosen)] for k in range(len(alloy))])
    return (
        _extreme("high-coordination", rattled(crowded, 41), "the most neighbours per atom"),
        _extreme("alloy", rattled(alloy, 42), "many elements in one structure"),
    )
