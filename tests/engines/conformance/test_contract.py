"""Right codes keep the contract; each wrong one breaks the clause that is named for its mistake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pair_potential import PairPotential, salt

from m3compress.engines.conformance.code import Bare, Motion
from m3compress.engines.conformance.contract import examine
from m3compress.errors import M3CompressError, StructureError

CLAUSES = {
    "energy", "forces", "virial", "virials of atoms", "sum of virials of atoms",
    "energies of atoms", "sum of energies of atoms",
    "permutation", "order of types", "wrapping", "images", "cell vectors", "history",
    "NaN", "unknown element", "overlapping atoms", "a run stops",
    "energy in motion: drift", "energy in motion: departure",
}  # fmt: skip


class Still(Bare):
    """Judged without the picosecond of dynamics, which only a few mistakes need."""

    def run(self, atoms, *, timestep, n_steps):
        if n_steps < 10:
            return super().run(atoms, timestep=timestep, n_steps=n_steps)
        return Motion(np.linspace(0, 1000, 11), np.zeros(11))


def judge(evaluator, kind=Still, **traits):
    return examine(kind(evaluator, "a code", **traits), PairPotential(), salt())


def test_a_right_code_keeps_every_clause():
    found = judge(PairPotential(), Bare)
    assert found.broken == ()
    assert found.holds
    assert {clause.name for clause in found.clauses} == CLAUSES
    assert all(clause.holds for clause in found.clauses)


def test_what_is_not_given_is_not_judged():
    class Bald(PairPotential):
        def evaluate(self, atoms):
            nothing = {"virial": np.full((3, 3), np.nan), "energies": np.full(len(atoms), np.nan)}
            return replace(super().evaluate(atoms), **nothing, virials=None)

    found = judge(Bald(), gives=frozenset())
    open_clauses = {clause.name for clause in found.clauses if clause.holds is None}
    assert found.holds
    others = {"energies of atoms", "sum of energies of atoms"}
    assert open_clauses == {"virial", "virials of atoms", *others}
    assert {"virial", "virials of atoms", "energies of atoms"} < set(judge(Bald()).broken)


def spread(found):
    """The total, to all atoms alike."""
    return np.tile(found.virial / len(found.forces), (len(found.forces), 1, 1))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda v, _: v, ()),
        (lambda v, _: 0.5 * (v + v.swapaxes(1, 2)), ()),
        (lambda v, _: -v, ("virials of atoms", "sum of virials of atoms")),
        (lambda v, _: 0 * v, ("virials of atoms", "sum of virials of atoms")),
        (lambda v, _: np.nan * v, ("virials of atoms", "sum of virials of atoms")),
        (lambda v, _: v.sum(axis=0), ("virials of atoms", "sum of virials of atoms")),
        (lambda v, _: v[::-1], ("virials of atoms",)),
        (lambda _, found: spread(found), ("virials of atoms",)),
    ],
)
def test_virials_of_atoms(change, broken):
    wrong = changed(lambda found: replace(found, virials=change(found.virials, found)))
    assert judge(wrong).broken == broken


def test_a_reference_that_knows_the_sum_of_the_virials_alone():
    reference = changed(lambda found: replace(found, virials=None))
    found = examine(Still(PairPotential(), "a code"), reference, salt())
    assert found.holds
    assert [c.name for c in found.clauses if c.holds is None] == ["virials of atoms"]


def changed(change):
    """An evaluator whose evaluations are changed."""

    class Changed(PairPotential):
        def evaluate(self, atoms):
            return change(super().evaluate(atoms))

    return Changed()


def other_voigt_order(found):
    virial = found.virial.copy()
    virial[0, 1], virial[1, 2] = found.virial[1, 2], found.virial[0, 1]
    virial[1, 0], virial[2, 1] = virial[0, 1], virial[1, 2]
    return replace(found, virial=virial)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda e: replace(e, energy=e.energy + 1e-3), {"energy", "sum of energies of atoms"}),
        (lambda e: replace(e, forces=1.0003 * e.forces), {"forces"}),
        (lambda e: replace(e, forces=e.forces[:1]), {"forces"}),
        (lambda e: replace(e, virial=-e.virial), {"virial"}),
        (other_voigt_order, {"virial"}),
        (lambda e: replace(e, energies=np.roll(e.energies, 1)), {"energies of atoms"}),
        (lambda e: replace(e, energies=e.energies + 1e-4), {"sum of energies of atoms"}),
        (lambda e: replace(e, forces=np.full_like(e.forces, np.nan)), {"forces", "permutation"}),
    ],
)
def test_wrong_numbers_break_their_clause(change, broken):
    assert broken <= set(judge(changed(change)).broken)


def test_wrong_forces_alone_break_nothing_of_the_energy():
    found = judge(changed(lambda e: replace(e, forces=1.0003 * e.forces)))
    assert found.broken[0] == "forces"
    assert set(found.broken) <= {"forces", "history"}


class NearestImage(PairPotential):
    """Every pair of atoms once, in the nearest image: right in large cells only."""

    def edges(self, atoms):
        centers, neighbors, vectors = super().edges(atoms)
        order = np.lexsort((np.linalg.norm(vectors, axis=1), neighbors, centers))
        first = np.unique(np.column_stack([centers, neighbors])[order], axis=0, return_index=True)
        kept = order[first[1]]
        kept = kept[centers[kept] != neighbors[kept]]
        return centers[kept], neighbors[kept], vectors[kept]


class InsideTheCell(PairPotential):
    """Sees no images of atoms outside the cell."""

    def evaluate(self, atoms):
        scaled = atoms.get_scaled_positions(wrap=False)
        inside = atoms.copy()
        inside.pbc &= ((scaled > -0.3) & (scaled < 1.3)).all()
        return super().evaluate(inside)


class SortsTheAtoms(PairPotential):
    """Sorts by element, and never sorts back."""

    def evaluate(self, atoms):
        return super().evaluate(atoms[np.argsort(atoms.numbers, kind="stable")])


class TypesByAppearance(PairPotential):
    """Numbers the elements in the order in which a structure shows them."""

    def species(self, atoms):
        super().species(atoms)
        shown = list(dict.fromkeys(atoms.get_chemical_symbols()))
        return np.array([shown.index(symbol) for symbol in atoms.get_chemical_symbols()])


class TransposedCell(PairPotential):
    def evaluate(self, atoms):
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array.T)
        return super().evaluate(turned)


class LongStepsOnly(PairPotential):
    """What it said last, unless atoms have moved a good deal."""

    last = (None, None)

    def evaluate(self, atoms):
        before, found = self.last
        same = before is not None and len(before) == len(atoms) and before.numbers.sum()
        if same == atoms.numbers.sum() and np.allclose(before.positions, atoms.positions, atol=0.1):
            return found
        self.last = (atoms.copy(), super().evaluate(atoms))
        return self.last[1]


class RefusesSkewedCells(PairPotential):
    def evaluate(self, atoms):
        if abs(np.tril(atoms.cell.array, -1)).max() > 0.5 * atoms.cell.lengths().min():
            raise StructureError("too skewed")
        return super().evaluate(atoms)


class Swallows(PairPotential):
    """Goes on with what it said last."""

    last = None

    def evaluate(self, atoms):
        try:
            self.last = super().evaluate(atoms)
        except M3CompressError:
            n_atoms = len(atoms)
            self.last = replace(self.last, forces=np.zeros((n_atoms, 3)))
        return self.last


@pytest.mark.parametrize(
    ("evaluator", "broken"),
    [
        (NearestImage(), {"energy", "images"}),
        (InsideTheCell(), {"wrapping"}),
        (SortsTheAtoms(), {"permutation"}),
        (TypesByAppearance(), {"order of types"}),
        (TransposedCell(), {"energy", "forces"}),
        (LongStepsOnly(), {"history"}),
        (RefusesSkewedCells(), {"cell vectors"}),
        (Swallows(), {"NaN", "unknown element", "overlapping atoms", "a run stops"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wrong_codes_break_the_clause_that_is_named_for_it(evaluator, broken):
    assert broken <= set(judge(evaluator).broken)


BAD_INPUT = {"NaN", "unknown element", "overlapping atoms", "a run stops"}


def raising(make):
    """An evaluator that raises something else than ours, made of it."""

    class Raises(PairPotential):
        def evaluate(self, atoms):
            try:
                return super().evaluate(atoms)
            except M3CompressError as error:
                raise make(error) from None

    return Raises()


@pytest.mark.parametrize(
    "make",
    [
        lambda _: ZeroDivisionError("oh"),
        lambda _: M3CompressError("the file is damaged"),
        lambda error: OSError(str(error).replace("atom", "particle").replace("know", "like")),
    ],
)
def test_errors_that_are_not_ours_are_told_apart(make):
    assert set(judge(raising(make)).broken) == BAD_INPUT


def test_an_error_of_a_code_may_quote_ours():
    assert judge(raising(lambda error: OSError(f"a callback raised: {error}"))).holds


@pytest.mark.parametrize("start", ["a lost atom", "unknown element", "overlapping atoms"])
def test_a_run_that_starts_and_does_not_stop(start):
    """It evaluates single structures as it must, and its dynamics swallow what is raised."""
    signs = {"a lost atom": "finite", "unknown element": "know", "overlapping atoms": "apart"}

    class GoesOn(Still):
        def run(self, atoms, *, timestep, n_steps):
            try:
                return super().run(atoms, timestep=timestep, n_steps=n_steps)
            except StructureError as error:
                if signs[start] not in str(error):
                    raise
                return Motion(np.zeros(1), np.zeros(1))

    found = judge(PairPotential(), GoesOn)
    assert found.broken == ("a run stops",)
    (note,) = (clause.note for clause in found.clauses if clause.holds is False)
    assert note == f"{start}: no error: it went on"


def test_a_code_may_refuse_what_it_says_it_refuses():
    class Periodic(PairPotential):
        def evaluate(self, atoms):
            if not atoms.pbc.all():
                raise StructureError("periodic in all directions, or not at all")
            return super().evaluate(atoms)

    names = frozenset({"slab, open", "molecule"})
    found = judge(Periodic(), refuses=names)
    assert found.holds
    assert {c.name for c in found.clauses if c.holds is None} == names
    assert set(judge(Periodic()).broken) == names


def test_a_structure_is_not_to_be_changed():
    class Wraps(PairPotential):
        def evaluate(self, atoms):
            atoms.positions += 0.5
            return super().evaluate(atoms)

    assert "triclinic" in judge(Wraps()).broken


class Dissipates(Bare):
    """Its dynamics are not those of its forces."""

    def evaluate(self, atoms):
        found = super().evaluate(atoms)
        return replace(found, forces=self.factor(atoms) * found.forces)

    def run(self, atoms, *, timestep, n_steps):
        self.factor = lambda atoms: 0.9
        motion = super().run(atoms, timestep=timestep, n_steps=n_steps)
        self.factor = lambda atoms: 1.0
        return motion

    factor = staticmethod(lambda atoms: 1.0)


class Drifts(Still):
    def run(self, atoms, *, timestep, n_steps):
        motion = super().run(atoms, timestep=timestep, n_steps=n_steps)
        return replace(motion, energies=motion.energies + 3e-6 * motion.times)


class EndsEarly(Still):
    def run(self, atoms, *, timestep, n_steps):
        motion = super().run(atoms, timestep=timestep, n_steps=n_steps)
        return Motion(motion.times[:5], motion.energies[:5])


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Dissipates, "energy in motion: departure"),
        (Drifts, "energy in motion: drift"),
        (EndsEarly, "energy in motion: drift"),
    ],
)
def test_wrong_dynamics_are_seen(kind, broken):
    found = judge(PairPotential(), kind)
    assert broken in found.broken
    assert not {"energy", "forces", "permutation"} & set(found.broken)


def test_a_crystal_of_one_element_gets_a_second():
    iron = bulk("Na", "bcc", a=4.0, cubic=True)
    found = examine(Still(TypesByAppearance(), "a code"), PairPotential(), iron)
    assert "order of types" in found.broken


@pytest.mark.parametrize("atoms", [Atoms("NaCl", [[0, 0, 0], [2.8, 0, 0]]), bulk("Na")])
def test_a_crystal_that_is_none_is_refused(atoms):
    with pytest.raises(StructureError, match="expected at least 2 atoms in a cell periodic"):
        examine(Still(PairPotential(), "a code"), PairPotential(), atoms)
