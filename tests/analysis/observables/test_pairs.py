"""Radial distribution functions against freud, ideal gases and counted neighbours."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from m3compress.analysis.observables.pairs import (
    TOTAL,
    coordination_number,
    first_minimum,
    first_peak,
    pair_distribution,
)
from m3compress.errors import StructureError

R_MAX, N_BINS = 5.0, 100
ORTHOGONAL = np.diag([11.0, 12.0, 14.0])
TRICLINIC = np.array([[13.0, 0.0, 0.0], [4.0, 12.5, 0.0], [-3.0, 2.5, 12.0]])


def random_frames(cell, *, n_atoms=300, n_frames=5, seed=0, swell=0.0):
    """Random positions, partly outside the cell; ``swell`` is how much volumes differ."""
    rng = np.random.default_rng(seed)
    symbols = ["Si"] * (n_atoms // 3) + ["O"] * (n_atoms - n_atoms // 3)
    return [
        Atoms(
            symbols,
            scaled_positions=rng.uniform(-0.5, 1.5, (n_atoms, 3)),
            cell=cell * (1 + swell * i),
            pbc=True,
        )
        for i in range(n_frames)
    ]


def freud_rdf(atoms, of=None, around=None, r_max=R_MAX, bins=N_BINS):
    """g(r) of one frame by freud, of all pairs or of one kind around another."""
    freud = pytest.importorskip("freud")
    cell, rotation = atoms.cell.standard_form()
    box = freud.Box.from_matrix(np.asarray(cell).T)
    points = box.wrap(atoms.positions @ rotation.T)
    rdf = freud.density.RDF(bins=bins, r_max=r_max)
    if of is None or of == around:
        rdf.compute((box, points if of is None else points[atoms.symbols == of]))
    else:
        rdf.compute(
            (box, points[atoms.symbols == of]), query_points=points[atoms.symbols == around]
        )
    return np.array(rdf.rdf)


@pytest.mark.parametrize("swell", [0.0, 0.03], ids=["constant volume", "changing volume"])
@pytest.mark.parametrize("cell", [ORTHOGONAL, TRICLINIC], ids=["orthogonal", "triclinic"])
@pytest.mark.parametrize(
    ("pair", "of", "around"),
    [(TOTAL, None, None), ("O-Si", "Si", "O"), ("O-O", "O", "O"), ("Si-Si", "Si", "Si")],
)
def test_all_pairs_and_partials_agree_with_freud(cell, swell, pair, of, around):
    frames = random_frames(cell, swell=swell)
    found = pair_distribution(frames, R_MAX, N_BINS)
    np.testing.assert_allclose(found.r, (np.arange(N_BINS) + 0.5) * R_MAX / N_BINS)
    for frame, g in zip(frames, found.g[pair], strict=True):
        expected = freud_rdf(frame, of, around)
        off = np.abs(g - expected)
        # freud keeps positions in float32: a pair or two at the edge of bins change sides.
        assert np.count_nonzero(off > 1e-3) <= 4
        n_like = frame.symbols.count
        pairs = 300**2 / 2 if of is None else n_like(of) * n_like(around) / (2 - (of != around))
        shells = 4 / 3 * np.pi * np.diff(np.linspace(0, R_MAX, N_BINS + 1) ** 3)
        assert (off <= 1e-3 + 2 * frame.get_volume() / pairs / shells).all()


@pytest.mark.parametrize("cubic", [True, False], ids=["orthogonal", "triclinic"])
def test_a_crystal_agrees_with_freud_in_every_bin(cubic):
    # No distance of it is at the edge of a bin.
    atoms = bulk("Cu", "fcc", a=3.6, cubic=cubic).repeat(3 if cubic else 6)
    found = pair_distribution([atoms], R_MAX, 97)
    off = np.abs(found.g[TOTAL][0] - freud_rdf(atoms, bins=97))
    assert (off <= 1e-3).all()
    assert found.g[TOTAL].max() > 5


def test_an_ideal_gas_is_one_within_noise_even_when_the_volume_changes():
    found = pair_distribution(random_frames(TRICLINIC, n_frames=40, swell=0.01), 6.0, 30)
    outer = found.r > 1.5
    # No atom is its own neighbour: like pairs are 1 − 1/N.
    ones = {"O-Si": 1, "O-O": 1 - 1 / 200, "Si-Si": 1 - 1 / 100, TOTAL: 1 - 1 / 300}
    for pair, g in found.g.items():
        mean = g.mean(axis=0)[outer]
        error = g.std(axis=0)[outer] / np.sqrt(40)
        assert mean.mean() == pytest.approx(ones[pair], abs=0.008)
        assert (np.abs(mean - ones[pair]) < 5 * error).all()
    assert set(found.g) == set(ones)


@pytest.mark.parametrize("repeat", [1, 2])
@pytest.mark.parametrize("lattice", ["sc", "fcc", "bcc"])
def test_images_beyond_half_of_the_cell_are_counted(lattice, repeat):
    # In the primitive cell all neighbours are images of the one atom.
    atoms = bulk("Cu", lattice, a=3.6).repeat(repeat)
    r_max, n_bins = 9.0, 450
    found = pair_distribution([atoms], r_max, n_bins)
    shells = 4 / 3 * np.pi * np.diff(np.linspace(0, r_max, n_bins + 1) ** 3)
    neighbours = found.g[TOTAL][0] * shells * found.density["Cu"]
    expected = np.histogram(neighbor_list("d", atoms, r_max), bins=n_bins, range=(0, r_max))[
        0
    ] / len(atoms)
    np.testing.assert_allclose(np.cumsum(neighbours)[-1], expected.sum(), rtol=1e-9)
    # Shell by shell; rounding may move a shell by one bin.
    for stop in np.flatnonzero(expected) + 2:
        if stop < n_bins and expected[stop - 1] == expected[stop] == 0:
            assert neighbours[:stop].sum() == pytest.approx(expected[:stop].sum())


def test_coordination_and_first_peak_of_diamond():
    rng = np.random.default_rng(1)
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(3)
    frames = []
    for _ in range(20):
        frames.append(atoms.copy())
        frames[-1].positions += rng.normal(0, 0.03, (len(atoms), 3))
    found = pair_distribution(frames, 6.0, 300)
    g = found.g["Si-Si"].mean(axis=0)
    reach = first_minimum(found.r, g)
    bond = 5.43 * np.sqrt(3) / 4
    assert bond + 0.3 < reach < 5.43 / np.sqrt(2) - 0.2
    numbers = coordination_number(found.r, found.g["Si-Si"], found.density["Si"], reach)
    np.testing.assert_allclose(numbers, 4.0, rtol=2e-3)
    assert first_peak(found.r, g) == pytest.approx(bond, abs=0.005)


@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_a_peak_of_few_pairs_is_found_where_it_is(shift):
    # 60 pairs of a shell 0.12 Å wide in bins of 0.02 Å: some are empty near its top.
    centers = np.arange(0, 4.2, 0.021) + 0.0105
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        distances = rng.normal(2.8 + shift, 0.12, 60)
        counts, _ = np.histogram(distances, len(centers), (0, 4.2))
        found.append(first_peak(centers, counts.astype(float)))
    assert np.mean(found) == pytest.approx(2.8 + shift, abs=0.005)
    assert np.std(found) < 0.025  # of the mean distance itself: 0.12 Å / √60 = 0.015 Å


def test_unlike_neighbours_are_counted_around_the_first_element():
    # Rock salt: 6 neighbours of the other kind, whichever is asked for.
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat(2)
    found = pair_distribution([atoms], 4.0, 400)
    for symbol in ("Mg", "O"):
        number = coordination_number(found.r, found.g["Mg-O"], found.density[symbol], 2.5)
        assert number[0] == pytest.approx(6.0, rel=1e-3)


def test_a_curve_without_a_peak_has_none():
    r = np.linspace(0, 5, 50)
    assert first_peak(r, np.full(50, 0.9)) is None
    plateau = 1.1 * np.exp(-(((r - 3) / 0.5) ** 2)) + 0.3 * (r > 3) + 0.9
    assert first_peak(r, plateau) is None  # as Ag-Ag in superionic AgI
    assert first_minimum(r, np.full(50, 0.9)) == r[-1]
    assert first_minimum(r, np.full(50, 1.1)) == r[-1]


def test_what_has_no_density_is_refused():
    with pytest.raises(StructureError, match="got none"):
        pair_distribution([], 5.0)
    with pytest.raises(StructureError, match="periodic in all directions"):
        pair_distribution([Atoms("Cu", cell=[5, 5, 5], pbc=[True, True, False])], 5.0)


def test_a_large_frame_needs_the_memory_of_its_neighbours_and_not_of_all_pairs():
    rng = np.random.default_rng(0)
    n_atoms = 15_000
    edge = (n_atoms / 0.066) ** (1 / 3)  # the density of silica
    positions = rng.uniform(0, edge, (n_atoms, 3))
    frame = Atoms("SiOO" * (n_atoms // 3), positions, cell=[edge] * 3, pbc=True)
    tracemalloc.start()
    pair_distribution([frame], 6.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < n_atoms**2  # bytes
