"""The zoo holds every kind of structure for every set of elements, and always the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import chemical_symbols

from m3compress.contract.neighbors import find_edges
from m3compress.errors import StructureError
from m3compress.models.structures.crystals import CRYSTALS, known_crystals
from m3compress.models.structures.frames import Named
from m3compress.models.structures.supercell import repeated
from m3compress.models.structures.zoo import build_zoo, equilibrium_and_rattled, rattled

CUTOFF, THREE_BODY = 5.0, 4.0
ELEMENTS = {
    "silica": ("Si", "O"),
    "molybdenum": ("Mo",),
    "borohydride": ("H", "B", "Na"),
    "helium": ("He",),
    "no measured crystal": ("Pm", "Np"),
    "universal": tuple(chemical_symbols[1:90]),
}


@pytest.fixture(scope="module", params=ELEMENTS.values(), ids=list(ELEMENTS))
def elements(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(scope="module")
def zoo(elements: tuple[str, ...]) -> dict[str, Named]:
    entries = build_zoo(elements, cutoff=CUTOFF, three_body_cutoff=THREE_BODY)
    assert len({entry.name for entry in entries}) == len(entries)
    return {entry.name: entry for entry in entries}


def lengths(entry: Named, cutoff: float = CUTOFF) -> np.ndarray:
    return np.linalg.norm(find_edges(entry.atoms, cutoff)[1], axis=1)


def test_it_is_large_and_its_structures_are_not_too_large(zoo: dict[str, Named]) -> None:
    sizes = [len(entry.atoms) for entry in zoo.values()]
    assert len(zoo) >= 24
    assert min(sizes) == 1
    assert 1000 < max(sizes) <= 2000
    assert all(entry.purpose for entry in zoo.values())


def test_without_large_cells_it_is_small(elements: tuple[str, ...]) -> None:
    entries = build_zoo(elements, cutoff=CUTOFF, three_body_cutoff=THREE_BODY, large=False)
    assert len(entries) >= 24
    assert max(len(entry.atoms) for entry in entries) <= 200


def test_nothing_overlaps_and_only_known_elements_occur(
    zoo: dict[str, Named], elements: tuple[str, ...]
) -> None:
    for entry in zoo.values():
        assert set(entry.atoms.symbols) <= set(elements), entry.name
        assert lengths(entry).min(initial=CUTOFF) > 0.5, entry.name


def test_every_atom_of_a_crystal_has_neighbors(zoo: dict[str, Named]) -> None:
    for name in ("supercell-200", "supercell-2000", "slab", "alloy", "one-atom-cell"):
        edges, _ = find_edges(zoo[name].atoms, CUTOFF)
        assert set(edges.centers) == set(range(len(zoo[name].atoms))), name


def test_it_is_the_same_every_time(zoo: dict[str, Named], elements: tuple[str, ...]) -> None:
    again = build_zoo(elements, cutoff=CUTOFF, three_body_cutoff=THREE_BODY)
    assert [entry.name for entry in again] == list(zoo)
    assert all(entry.atoms == zoo[entry.name].atoms for entry in again)


def test_the_kinds_are_what_their_names_say(zoo: dict[str, Named]) -> None:
    for name in ("isolated-atom", "isolated-periodic", "far-apart"):
        assert len(lengths(zoo[name])) == 0, name
    for name in ("between-cutoffs", "dimer-between"):
        assert len(lengths(zoo[name])) > 0, name
        assert lengths(zoo[name]).min() > THREE_BODY, name
    edges, _ = find_edges(zoo["one-neighbor"].atoms, CUTOFF)
    assert 1 in np.bincount(edges.centers)
    edges, _ = find_edges(zoo["one-atom-cell"].atoms, CUTOFF)
    assert set(edges.neighbors) == {0}
    assert zoo["slab"].atoms.pbc.tolist() == [True, True, False]
    assert zoo["wire"].atoms.pbc.tolist() == [False, False, True]
    assert not zoo["cluster"].atoms.pbc.any()
    scaled = zoo["unwrapped"].atoms.get_scaled_positions(wrap=False)
    assert scaled.min() < -1 or scaled.max() > 2


def test_the_alloy_uses_many_elements() -> None:
    entries = build_zoo(ELEMENTS["universal"], cutoff=CUTOFF, three_body_cutoff=THREE_BODY)
    alloy = next(entry.atoms for entry in entries if entry.name == "alloy")
    assert len(set(alloy.symbols)) == 8


def test_inspection_gets_small_crystals_at_rest_and_rattled(elements: tuple[str, ...]) -> None:
    entries = equilibrium_and_rattled(elements)
    assert 8 <= len(entries) <= 12
    assert all(1 <= len(entry.atoms) <= 40 for entry in entries)
    assert sum(entry.name.endswith("-rattled") for entry in entries) == len(entries) / 2


def test_what_an_entry_is_stands_in_a_field(zoo: dict[str, Named]) -> None:
    for name, entry in zoo.items():
        stem = name.removesuffix("-rattled")
        if stem in CRYSTALS:
            assert entry.kind == "real", name
        elif stem.startswith("made-up-"):
            assert entry.kind == "made-up", name
        else:
            assert entry.kind in ("altered", "extreme"), name
    altered = {name for name, entry in zoo.items() if entry.kind == "altered"}
    assert altered == {
        *("compressed-0", "expanded-0", "compressed-1", "expanded-1", "sheared", "unwrapped"),
        *("vacancy", "supercell-200", "supercell-1000", "supercell-2000"),
    }


def test_equal_cutoffs_are_no_special_case() -> None:
    entries = build_zoo(("Si", "O"), cutoff=4.0, three_body_cutoff=4.0)
    between = next(entry for entry in entries if entry.name == "dimer-between")
    assert len(lengths(between, 4.0)) == 2


def test_measured_crystals_have_their_densities() -> None:
    densities = {  # g/cm³
        "Si-diamond": 2.33,
        "SiO2-quartz": 2.65,
        "SiO2-stishovite": 4.29,
        "TiO2-rutile": 4.25,
        "NaCl-rocksalt": 2.16,
        "CaF2-fluorite": 3.18,
        "NaBH4-borohydride": 1.07,
    }
    crystals = {crystal.name: crystal.atoms for crystal in known_crystals(ELEMENTS["universal"])}
    for name, expected in densities.items():
        atoms = crystals[name]
        density = atoms.get_masses().sum() / atoms.get_volume() * 1.66054
        assert density == pytest.approx(expected, rel=0.02), name


def test_rattling_keeps_the_center_and_leaves_the_original_alone() -> None:
    crystal = known_crystals(("Mo",))[0].atoms
    before = crystal.copy()
    moved = rattled(crystal, 3)
    assert crystal == before
    assert len(moved) >= 8
    shift = moved.positions - repeated(crystal).positions
    assert np.allclose(shift.mean(axis=0), 0)
    assert 0.02 < shift.std() < 0.1


@pytest.mark.parametrize("elements", [(), ("Si", "Qq")])
def test_what_is_no_element_is_refused(elements: tuple[str, ...]) -> None:
    with pytest.raises(StructureError, match="chemical symbols"):
        equilibrium_and_rattled(elements)
