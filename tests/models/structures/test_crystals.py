"""Every crystal against handbooks: what it is made of, how dense it is, how long its bonds."""

from __future__ import annotations

import numpy as np
import pytest
from ase.formula import Formula

from m3compress.contract.neighbors import find_edges
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import (
    CRYSTALS,
    build_crystal,
    choose_crystals,
    known_crystals,
)

#: Density in g/cm³ (CRC Handbook and mineralogical tables, at room temperature unless a crystal
#: exists only at a high one or under pressure), shortest distance in Å, and between what it is.
HANDBOOK = {
    "Si-diamond": (2.33, 2.35, "Si-Si"),
    "TiO2-rutile": (4.25, 1.95, "O-Ti"),
    "SiO2-quartz": (2.65, 1.61, "O-Si"),
    "NaCl-rocksalt": (2.16, 2.82, "Cl-Na"),
    "Mo-bcc": (10.2, 2.73, "Mo-Mo"),
    "Al-fcc": (2.70, 2.86, "Al-Al"),
    "MgO-rocksalt": (3.58, 2.11, "Mg-O"),
    "ZnS-zincblende": (4.09, 2.34, "S-Zn"),
    "CsCl-cesiumchloride": (3.99, 3.57, "Cl-Cs"),
    "CaF2-fluorite": (3.18, 2.37, "Ca-F"),
    "Cu-fcc": (8.96, 2.56, "Cu-Cu"),
    "LiF-rocksalt": (2.64, 2.01, "F-Li"),
    "GaAs-zincblende": (5.32, 2.45, "As-Ga"),
    "W-bcc": (19.3, 2.74, "W-W"),
    "Fe-bcc": (7.87, 2.48, "Fe-Fe"),
    "Na-bcc": (0.97, 3.72, "Na-Na"),
    "NaH-rocksalt": (1.39, 2.44, "H-Na"),
    "C-diamond": (3.51, 1.54, "C-C"),
    "SiC-zincblende": (3.21, 1.89, "C-Si"),
    "Ge-diamond": (5.32, 2.45, "Ge-Ge"),
    "Ni-fcc": (8.90, 2.49, "Ni-Ni"),
    "Ag-fcc": (10.5, 2.89, "Ag-Ag"),
    "Li-bcc": (0.534, 3.04, "Li-Li"),
    "Nb-bcc": (8.57, 2.86, "Nb-Nb"),
    "Pt-fcc": (21.5, 2.77, "Pt-Pt"),
    "Au-fcc": (19.3, 2.88, "Au-Au"),
    "Pb-fcc": (11.3, 3.50, "Pb-Pb"),
    "K-bcc": (0.862, 4.61, "K-K"),
    "CeO2-fluorite": (7.22, 2.34, "Ce-O"),
    "SiO2-stishovite": (4.29, 1.76, "O-Si"),
    "NaBH4-borohydride": (1.07, 1.22, "B-H"),
    "Si-beta-tin": (3.29, 2.43, "Si-Si"),
    "SiO2-alpha-cristobalite": (2.33, 1.60, "O-Si"),
    "SiO2-beta-cristobalite": (2.20, 1.55, "O-Si"),
    "SiO2-tridymite": (2.20, 1.55, "O-Si"),
    "SiO2-coesite": (2.92, 1.60, "O-Si"),
}
SIX_COORDINATED = ("SiO2-stishovite", "TiO2-rutile")
SILICA = [name for name in HANDBOOK if name.startswith("SiO2-")]


def density(atoms):
    """In g/cm³."""
    return atoms.get_masses().sum() / atoms.get_volume() * 1.66054


def bonds(atoms, cutoff=5.0):
    """Lengths of all edges, and the atoms they join."""
    edges, vectors = find_edges(atoms, cutoff)
    return np.linalg.norm(vectors, axis=1), edges.centers, edges.neighbors


def test_every_crystal_is_looked_up():
    assert set(HANDBOOK) == set(CRYSTALS)


@pytest.mark.parametrize("name", CRYSTALS)
def test_formula(name):
    formula = Formula(name.partition("-")[0]).count()
    found = Formula(str(build_crystal(name).symbols)).reduce()[0].count()
    assert found == formula
    assert CRYSTALS[name].name == name


@pytest.mark.parametrize("name", CRYSTALS)
def test_density(name):
    assert density(build_crystal(name)) == pytest.approx(HANDBOOK[name][0], rel=0.03)


@pytest.mark.parametrize("name", CRYSTALS)
def test_shortest_distance(name):
    _, expected, between = HANDBOOK[name]
    atoms = build_crystal(name)
    lengths, centers, neighbors = bonds(atoms)
    shortest = int(np.argmin(lengths))
    assert lengths[shortest] == pytest.approx(expected, abs=0.02)
    ends = {atoms.symbols[centers[shortest]], atoms.symbols[neighbors[shortest]]}
    assert ends == set(between.split("-"))


@pytest.mark.parametrize("name", [*SILICA, "TiO2-rutile"])
def test_oxides_are_made_of_tetrahedra_or_octahedra(name):
    atoms = build_crystal(name)
    lengths, centers, neighbors = bonds(atoms)
    is_metal = atoms.numbers != 8
    bonded = (lengths < 2.1) & is_metal[centers] & ~is_metal[neighbors]
    counts = np.bincount(centers[bonded], minlength=len(atoms))
    assert set(counts[is_metal]) == {6 if name in SIX_COORDINATED else 4}
    # Bonds are all of about one length: no atom was put a little beside its site.
    assert np.ptp(lengths[bonded]) < 0.06


def test_other_lattice_parameters_may_be_asked_for():
    atoms = build_crystal("SiO2-quartz", 5.0, 5.5)
    assert atoms.cell.lengths() == pytest.approx([5.0, 5.0, 5.5])
    ours = build_crystal("SiO2-quartz")
    assert np.allclose(atoms.get_scaled_positions(), ours.get_scaled_positions())


def test_every_call_makes_another_structure():
    first, second = (build_crystal("NaCl-rocksalt") for _ in range(2))
    first.positions += 1.0
    assert first != second == build_crystal("NaCl-rocksalt")


def test_an_unknown_crystal_is_refused_and_the_known_ones_are_named():
    with pytest.raises(StructureError, match="'SiO2-opal'") as caught:
        build_crystal("SiO2-opal")
    assert "SiO2-quartz" in caught.value.hint


def test_known_crystals_hold_known_elements_alone():
    names = [crystal.name for crystal in known_crystals(("O", "Si", "Al"))]
    assert names == ["Si-diamond", "SiO2-quartz", "Al-fcc", "SiO2-stishovite"]
    assert {crystal.kind for crystal in known_crystals(("O", "Si", "Al"))} == {"real"}


def test_made_up_crystals_fill_the_choice():
    kinds = [crystal.kind for crystal in choose_crystals(("O", "Si"), cutoff=5.0)]
    assert kinds == ["real"] * 3 + ["made-up"] * 3
    assert {c.kind for c in choose_crystals(("Pm", "Np"), cutoff=5.0)} == {"made-up"}
