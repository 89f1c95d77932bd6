"""Several structures in one evaluation say what each says alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from native_library import built_library
from random_networks import random_potential, write_native_artefact

from m3compress.contract.manifest import Manifest
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
        for name in ("run", "run_structure"):
            inner = getattr(evaluator.engine, name, None)
            if inner is not None:
                monkeypatch.setattr(
                    evaluator.engine, name, lambda *a, f=inner: (calls.append(1), f(*a))[1]
                )
        return calls

    return count


def assert_same(found, alone):
    for one, other in zip(found, alone, strict=True):
        assert one.energy == pytest.approx(other.energy, abs=2e-5)
        assert np.allclose(one.energies, other.energies, atol=1e-5)
        assert np.allclose(one.forces, other.forces, atol=5e-5)
        assert np.allclose(one.virial, other.virial, atol=1e-4)


@pytest.mark.parametrize("kind", ["native", "graph"])
def test_all_are_one_evaluation(kind, request, structures, counted):
    evaluator = request.getfixturevalue(kind)
    chosen = [structures[name] for name in NAMES]
    alone = [evaluator.evaluate(atoms) for atoms in chosen]
    calls = counted(evaluator)
    assert_same(evaluator.evaluate_all(chosen), alone)
    assert len(calls) == 1


def test_a_graph_that_gives_the_sum_of_virials_evaluates_one_by_one(
    graph, structures, counted, monkeypatch
):
    chosen = [structures[name] for name in NAMES]
    alone = [graph.evaluate(atoms) for atoms in chosen]
    monkeypatch.setattr(Manifest, "has_atom_virials", property(lambda manifest: False))
    run = graph.engine.run
    monkeypatch.setattr(
        graph.engine,
        "run",
        lambda i: replace(found := run(i), virial=found.virial.sum(axis=0)),
    )
    calls = counted(graph)
    assert_same(graph.evaluate_all(chosen), alone)
    assert len(calls) == len(NAMES)


@pytest.mark.parametrize("n_structures", [0, 1])
def test_none_and_one(n_structures, native, structures):
    chosen = [structures["molecule"]] * n_structures
    assert_same(native.evaluate_all(chosen), [native.evaluate(atoms) for atoms in chosen])


def test_a_bad_structure_among_good_ones(native, structures):
    bad = structures["molecule"].copy()
    bad.positions[1] = np.nan
    with pytest.raises(StructureError, match=r"the position of atom 1 .* is not finite"):
        native.evaluate_all([structures["triclinic"], bad])
