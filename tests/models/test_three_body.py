"""The forms of the three-body block against each other, in both graph layouts.

That the triplet form itself is right is shown against matgl and MatterSim (``test_*_parity.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.forms import FACTORIZED, MISROUTED, REMOVED, TRIPLETS, ThreeBodyForm
from m3compress.contract.forms import FORMS as TABLE
from m3compress.contract.neighbors import Edges, build_table, find_edges
from m3compress.errors import ExportError
from m3compress.models.graph import EdgeGraph, TableGraph
from m3compress.models.potential import Potential, evaluate
from m3compress.models.radial import BesselBasis, SmoothBasis
from m3compress.models.readers.tensorflow import read_tensorflow
from m3compress.models.three_body import SUMS, list_triplets, survives

RELATIVE = 1e-10  # of the largest value, in float64
HALF = ThreeBodyForm(name="pruned", fraction=0.5, seed=3)
FORMS = (TRIPLETS, FACTORIZED, HALF, REMOVED)

#: Conventions whose triplet form exists on tables, with the sizes that show their differences.
SIZES = {
    "tf": {"max_n": 2, "max_l": 5},
    "mattersim": {"max_n": 3, "max_l": 3},
    "matgl-dgl": {"edge_basis": "bessel", "edge_bias": True, "hidden": (12, 16)},
    "matgl-4.1": {"triplet_basis": "smooth", "message_activation": "identity"},
}


def _edge_cases() -> dict[str, Atoms]:
    """Structures at the margins of the three-body block, cutoffs 5 and 4 Å."""
    rattled = bulk("Si", "diamond", a=5.0).repeat((2, 2, 1))
    rattled.numbers[:] = [14, 8, 22, 1] * 2
    rattled.rattle(0.25, seed=5)
    return {
        "isolated": Atoms("O", positions=[[0, 0, 0]]),
        "dimer": Atoms("OH", positions=[[0, 0, 0], [0.6, 0.5, 0.9]]),
        "collinear": Atoms("HOH", positions=[[-1.1, 0, 0], [0, 0, 0], [1.3, 0, 0]]),
        "along-z": Atoms("OTiO", positions=[[0, 0, -1.9], [0, 0, 0], [0, 0, 1.8]]),
        "no-triplet": Atoms("OHSi", positions=[[0, 0, 0], [1.0, 0, 0], [5.4, 0, 0.3]]),
        "between-cutoffs": Atoms(
            "OHSiC", positions=[[0, 0, 0], [2.0, 0.1, 0], [-1.0, 4.4, 0.2], [0.3, -1.5, 0.5]]
        ),
        "self-images": Atoms("Si", cell=[2.5, 2.5, 2.5], pbc=True),
        "four-elements": rattled,
    }


EDGE_CASES = _edge_cases()


@pytest.fixture(scope="module", params=["random-tf", "random-l5", "random-mattersim", "original"])
def potential(
    request: pytest.FixtureRequest, random_potential: Callable[..., Potential]
) -> Potential:
    if request.param == "original":
        shared: Path = request.getfixturevalue("shared")
        return read_tensorflow(shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow")
    sizes = {"random-l5": {"max_l": 5, "max_n": 4, "n_blocks": 3}}.get(request.param, {})
    convention = "mattersim" if request.param == "random-mattersim" else "tf"
    return random_potential(11, convention, **sizes)


def _assert_same(found: Evaluation, reference: Evaluation, n_atoms: int) -> None:
    for name in ("energies", "forces", "virial"):
        a, b = getattr(found, name), getattr(reference, name)
        scale = max(1.0, np.abs(b).max())
        assert np.abs(a - b).max() <= RELATIVE * scale, name
    assert abs(found.energy - reference.energy) <= RELATIVE * n_atoms * max(
        1, abs(reference.energy)
    )


def test_every_form_of_the_table_has_its_algebra() -> None:
    assert set(SUMS) == set(TABLE)


@pytest.mark.parametrize("case", EDGE_CASES)
def test_factorized_equals_triplets(case: str, potential: Potential) -> None:
    atoms = EDGE_CASES[case]
    reference = evaluate(potential.with_form(TRIPLETS), atoms)
    assert np.isfinite(reference.forces).all()
    _assert_same(evaluate(potential.with_form(FACTORIZED), atoms), reference, len(atoms))


@pytest.mark.parametrize("case", EDGE_CASES)
def test_removal_is_exact_only_where_there_are_no_triplets(case: str, potential: Potential) -> None:
    atoms = EDGE_CASES[case]
    full = evaluate(potential.with_form(TRIPLETS), atoms)
    removed = evaluate(potential.with_form(REMOVED), atoms)
    if case in ("isolated", "dimer", "no-triplet"):
        _assert_same(removed, full, len(atoms))
    else:
        assert abs(removed.energy - full.energy) > 1e-6


@pytest.mark.parametrize("case", EDGE_CASES)
def test_the_ends_of_pruning_are_triplets_and_removal(case: str, potential: Potential) -> None:
    atoms = EDGE_CASES[case]
    for fraction, limit in ((0.0, TRIPLETS), (1.0, REMOVED)):
        pruned = ThreeBodyForm(name="pruned", fraction=fraction, seed=1)
        found = evaluate(potential.with_form(pruned), atoms)
        _assert_same(found, evaluate(potential.with_form(limit), atoms), len(atoms))


def test_half_pruned_lies_between(potential: Potential) -> None:
    atoms = EDGE_CASES["four-elements"]
    full = evaluate(potential.with_form(TRIPLETS), atoms)
    half = evaluate(potential.with_form(HALF), atoms)
    removed = evaluate(potential.with_form(REMOVED), atoms)
    assert np.abs(half.forces - full.forces).max() > 1e-4
    assert np.abs(half.forces - removed.forces).max() > 1e-4


@pytest.mark.parametrize(("edge_basis", "n_evaluations"), [("bessel", 1), ("smooth", 2)])
def test_equal_bases_of_edges_and_triplets_are_evaluated_once(
    edge_basis: str,
    n_evaluations: int,
    random_potential: Callable[..., Potential],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluated = []
    for kind in (BesselBasis, SmoothBasis):

        def counted(basis: Any, r: Tensor, original: Any = kind.forward) -> Tensor:
            evaluated.append(basis)
            return original(basis, r)

        monkeypatch.setattr(kind, "forward", counted)
    potential = random_potential(2, edge_basis=edge_basis, triplet_basis="bessel")
    evaluate(potential.with_form(FACTORIZED), EDGE_CASES["dimer"])
    assert len(evaluated) == n_evaluations


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_forces_and_virial_are_derivatives_of_the_energy(
    form: ThreeBodyForm, random_potential: Callable[..., Potential]
) -> None:
    potential = random_potential(2, max_l=4).with_form(form)
    atoms = EDGE_CASES["four-elements"]
    found = evaluate(potential, atoms)
    step = 1e-5

    def slope(change: Callable[[Atoms, float], None]) -> float:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            change(moved, sign * step)
            energies.append(evaluate(potential, moved).energy)
        return (energies[0] - energies[1]) / (2 * step)

    def shift(moved: Atoms, by: float) -> None:
        moved.positions[3, 1] += by

    def strain(moved: Atoms, by: float) -> None:
        deformation = np.eye(3)
        deformation[0, 2] += by
        moved.set_cell(np.array(moved.cell) @ deformation, scale_atoms=True)

    assert -slope(shift) == pytest.approx(found.forces[3, 1], abs=1e-6)
    assert slope(strain) == pytest.approx(found.virial[0, 2], abs=1e-6)


@pytest.mark.parametrize("convention", ["tf", "matgl-4.1"])
def test_misrouting_is_harmless_only_for_equal_cutoffs(
    convention: str, random_potential: Callable[..., Potential]
) -> None:
    atoms = EDGE_CASES["four-elements"]
    equal = random_potential(4, convention, cutoff=4.0, three_body_cutoff=4.0)
    reference = evaluate(equal.with_form(TRIPLETS), atoms)
    _assert_same(evaluate(equal.with_form(MISROUTED), atoms), reference, len(atoms))
    unequal = random_potential(4, convention)
    gap = (
        evaluate(unequal.with_form(MISROUTED), atoms).energy
        - evaluate(unequal.with_form(TRIPLETS), atoms).energy
    )
    assert abs(gap) > 1e-3


def _in_both_layouts(
    potential: Potential, atoms: Atoms, multiple_of: int
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor], np.ndarray]:
    """Energies per atom and ∂E/∂r_ij on an edge list and on a table with garbage in empty slots."""
    edges, vectors = find_edges(atoms, potential.config.cutoff)
    table = build_table(edges, multiple_of=multiple_of)
    species = torch.from_numpy(potential.species(atoms))
    flat = torch.tensor(vectors, requires_grad=True)
    listed = EdgeGraph(
        torch.from_numpy(edges.centers), torch.from_numpy(edges.neighbors), flat, len(atoms)
    )
    garbage = np.random.default_rng(0).normal(size=(*table.mask.shape, 3))
    slots = np.where(table.mask[..., None], table.pad(vectors, np.float64), garbage)
    padded = torch.tensor(slots, requires_grad=True)
    tabled = TableGraph(
        neighbors=torch.from_numpy(table.neighbors),
        mask=torch.tensor(table.mask, dtype=torch.float64),
        vectors=padded,
        incoming=torch.from_numpy(table.incoming),
        incoming_mask=torch.tensor(table.incoming_mask, dtype=torch.float64),
    )
    results = []
    for graph, leaf in ((listed, flat), (tabled, padded)):
        energies = potential.network(graph, species, potential.form)
        (gradient,) = torch.autograd.grad(energies.sum(), leaf)
        results.append((energies, gradient.reshape(-1, 3)))
    return results[0], results[1], table.flat_slots


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("convention", SIZES)
def test_the_table_gives_what_the_edge_list_gives(
    convention: str, form: ThreeBodyForm, random_potential: Callable[..., Potential]
) -> None:
    potential = random_potential(8, convention, **SIZES[convention]).with_form(form)
    for name, atoms in EDGE_CASES.items():
        if name == "isolated":
            continue
        for multiple_of in (1, 16):
            (e_list, g_list), (e_table, g_table), slots = _in_both_layouts(
                potential, atoms, multiple_of
            )
            torch.testing.assert_close(e_table, e_list, rtol=RELATIVE, atol=RELATIVE)
            torch.testing.assert_close(g_table[slots], g_list, rtol=RELATIVE, atol=RELATIVE)
            empty = torch.ones(len(g_table), dtype=torch.bool)
            empty[slots] = False
            assert (g_table[empty] == 0).all(), "padded slots must not pull on anything"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_atom_without_neighbours_is_finite_on_a_table(
    form: ThreeBodyForm, random_potential: Callable[..., Potential]
) -> None:
    potential = random_potential(8).with_form(form)
    table = build_table(find_edges(EDGE_CASES["isolated"], 5.0)[0])
    vectors = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    graph = TableGraph(
        neighbors=torch.from_numpy(table.neighbors),
        mask=torch.tensor(table.mask, dtype=torch.float64),
        vectors=vectors,
        incoming=torch.from_numpy(table.incoming),
        incoming_mask=torch.tensor(table.incoming_mask, dtype=torch.float64),
    )
    species = torch.from_numpy(potential.species(EDGE_CASES["isolated"]))
    energy = potential.network(graph, species, potential.form)
    (gradient,) = torch.autograd.grad(energy.sum(), vectors)
    expected = evaluate(potential, EDGE_CASES["isolated"]).energies - potential.element_energies[2]
    assert energy.item() == pytest.approx(expected[0], abs=1e-12)
    assert (gradient == 0).all()


def test_misrouted_triplets_do_not_exist_on_tables(
    random_potential: Callable[..., Potential],
) -> None:
    potential = random_potential(8).with_form(MISROUTED)
    with pytest.raises(ExportError, match="parity"):
        _in_both_layouts(potential, EDGE_CASES["four-elements"], 1)


@given(
    n_atoms=st.integers(1, 7),
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40),
    multiple_of=st.integers(1, 9),
)
@settings(max_examples=150, deadline=None)
def test_a_table_holds_every_edge_once_and_incoming_inverts_it(
    n_atoms: int, pairs: list[tuple[int, int]], multiple_of: int
) -> None:
    pairs = sorted((i % n_atoms, j % n_atoms) for i, j in pairs)
    centers = np.array([i for i, _ in pairs], dtype=np.int64)
    neighbors = np.array([j for _, j in pairs], dtype=np.int64)
    edges = Edges(centers, neighbors, np.zeros((len(pairs), 3), dtype=np.int64), n_atoms)
    table = build_table(edges, multiple_of=multiple_of)
    width, width_in = table.mask.shape[1], table.incoming.shape[1]
    assert width % multiple_of == 0
    assert width_in % multiple_of == 0
    assert min(width, width_in) >= 1
    assert table.mask.sum() == table.incoming_mask.sum() == len(pairs)
    assert len(set(table.flat_slots.tolist())) == len(pairs)
    assert table.mask.reshape(-1)[table.flat_slots].all()
    assert np.array_equal(table.flat_slots // width, centers)
    assert np.array_equal(table.neighbors.reshape(-1)[table.flat_slots], neighbors)
    assert sorted(table.incoming[table.incoming_mask]) == sorted(table.flat_slots)
    for atom in range(n_atoms):
        slots = table.incoming[atom][table.incoming_mask[atom]]
        assert (table.neighbors.reshape(-1)[slots] == atom).all()


@given(
    centers=st.lists(st.integers(0, 5), max_size=25).map(sorted),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_triplets_are_the_ordered_pairs_of_a_brute_force_loop(
    centers: list[int], data: st.DataObject
) -> None:
    inside = data.draw(st.lists(st.booleans(), min_size=len(centers), max_size=len(centers)))
    expected = [
        (a, b)
        for a in range(len(centers))
        for b in range(len(centers))
        if a != b and centers[a] == centers[b] and inside[a] and inside[b]
    ]
    first, second = list_triplets(
        torch.tensor(centers, dtype=torch.int64), torch.tensor(inside, dtype=torch.bool)
    )
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_misrouted_triplets_are_pruned_too(random_potential: Callable[..., Potential]) -> None:
    potential, atoms = random_potential(8), EDGE_CASES["four-elements"]

    def energy(form: ThreeBodyForm) -> float:
        return evaluate(potential.with_form(form), atoms).energy

    none, half, every = (
        energy(ThreeBodyForm(name="misrouted", fraction=fraction)) for fraction in (0.0, 0.5, 1.0)
    )
    assert none == energy(MISROUTED)
    assert every == pytest.approx(energy(REMOVED), abs=1e-12)
    assert len({round(value, 9) for value in (none, half, every)}) == 3


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_pruning_drops_the_fraction_it_is_told_to(fraction: float) -> None:
    i, j, k = torch.meshgrid(*[torch.arange(40)] * 3, indexing="ij")
    masks = [
        survives(i, j, k, ThreeBodyForm(name="pruned", fraction=fraction, seed=seed))
        for seed in (0, 1)
    ]
    for mask in masks:
        assert 1 - mask.double().mean().item() == pytest.approx(fraction, abs=0.02)
    together = (masks[0] & masks[1]).double().mean().item()
    assert together == pytest.approx((1 - fraction) ** 2, abs=0.03), "seeds must be independent"
