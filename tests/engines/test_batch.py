"""Several structures in one evaluation say what each says alone."""

from __future__ import annotations

import numpy as np
import pytest
from native_library import built_library
from random_networks import random_potential, write_native_artefact

from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import StructureError

NAMES = ("triclinic", "isolated", "tiny", "slab", "molecule")


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    built_library()
    folder = tmp_path_factory.mktemp("batch")
    path = write_native_artefact(folder / "model.m3c.safetensors", random_potential("tf"))
    return ArtefactEvaluator(path, threads=1)


@pytest.fixture(scope="module")
def graph(artefact):
    return ArtefactEvaluator(artefact, threads=1)


@pytest.fixture
def counted(monkeypatch):
    """How often an engine was run."""

    def count(evaluator):
        calls = []
        for name in ("run", "run_with_atom_virials", "run_structure"):
            inner = getattr(evaluator.engine, name, None)
            if inner is not None:
                monkeypatch.setattr(
                    evaluator.engine, name, lambda *a, f=inner: (calls.append(1), f(*a))[1]
                )
        return calls

    return count


def assert_same(found, alone, *, virial=True):
    for one, other in zip(found, alone, strict=True):
        assert one.energy == pytest.approx(other.energy, abs=2e-5)
        assert np.allclose(one.energies, other.energies, atol=1e-5)
        assert np.allclose(one.forces, other.forces, atol=5e-5)
        assert np.allclose(one.virial, other.virial, atol=1e-4) or not virial


def test_a_native_file_gives_everything_in_one_evaluation(native, structures, counted):
    chosen = [structures[name] for name in NAMES]
    alone = [native.evaluate(atoms) for atoms in chosen]
    calls = counted(native)
    assert_same(native.evaluate_all(chosen), alone)
    assert len(calls) == 1


def test_a_graph_gives_all_but_virials_in_one(graph, structures, counted):
    chosen = [structures[name] for name in NAMES]
    alone = [graph.evaluate(atoms) for atoms in chosen]
    calls = counted(graph)
    found = graph.evaluate_all(chosen, virials=False)
    assert len(calls) == 1
    assert_same(found, alone, virial=False)
    assert all(np.isnan(one.virial).all() for one in found)
    assert_same(graph.evaluate_all(chosen), alone)
    assert len(calls) == 1 + len(NAMES)


@pytest.mark.parametrize("n_structures", [0, 1])
def test_none_and_one(n_structures, native, structures):
    chosen = [structures["molecule"]] * n_structures
    assert_same(native.evaluate_all(chosen), [native.evaluate(atoms) for atoms in chosen])


def test_a_bad_structure_among_good_ones(native, structures):
    bad = structures["molecule"].copy()
    bad.positions[1] = np.nan
    with pytest.raises(StructureError, match=r"the position of atom 1 .* is not finite"):
        native.evaluate_all([structures["triclinic"], bad])
