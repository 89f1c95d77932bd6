"""The calculator tells when atoms are closer than any in the training domain, as far as known."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path

import pytest
from ase import Atoms

from m3compress import Calculator
from m3compress.engines.artefact import load_artefact
from m3compress.errors import ArtefactError, OverlapError, OverlapWarning, UnknownNameError

SHORTEST = {"O-Si": 1.4, "Si-Si": 2.1}


@pytest.fixture
def knowing(copied: Path) -> Path:
    """An artefact whose manifest knows how close Si comes to O and to Si, but not O to O."""
    return _stamp(copied, SHORTEST)


def _stamp(path: Path, shortest: object) -> Path:
    import onnx

    from m3compress.contract.files import sha256_of
    from m3compress.contract.manifest import METADATA_KEY

    model = onnx.load(path)
    inside = json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))
    inside["shortest_distances"] = shortest
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(inside)})
    onnx.save(model, path)
    beside = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    beside |= {"shortest_distances": shortest, "artefact_sha256": sha256_of(path)}
    path.with_suffix(".json").write_text(json.dumps(beside), encoding="utf-8")
    return path


def pair(symbols: str, distance: float) -> Atoms:
    return Atoms(symbols, positions=[[0, 0, 0], [0, 0, distance]])


def told(calculator: Calculator, atoms: Atoms) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        atoms = atoms.copy()
        atoms.calc = calculator
        atoms.get_potential_energy()
    return [str(one.message) for one in caught if one.category is OverlapWarning]


def test_it_is_told_once(knowing: Path) -> None:
    calculator = Calculator(knowing, threads=1)
    assert told(calculator, pair("SiO", 1.41)) == []
    (message,) = told(calculator, pair("SiO", 1.3))
    assert "atoms 0 and 1 (counting from 0) are 1.300 Å apart" in message
    assert "O-Si is never closer than 1.400 Å" in message
    assert told(calculator, pair("SiO", 1.2)) == []
    assert told(copy.deepcopy(calculator), pair("SiO", 1.1)), "a copy tells it again"


def test_the_pair_that_is_furthest_out_is_named(knowing: Path) -> None:
    atoms = Atoms("SiOSi", positions=[[0, 0, 0], [0, 0, 1.39], [1.0, 0, 0]])
    (message,) = told(Calculator(knowing, threads=1), atoms)
    assert "atoms 0 and 2" in message
    assert "Si-Si" in message


def test_periodic_images_count(knowing: Path) -> None:
    atoms = Atoms("Si", cell=[2.0, 6, 6], pbc=True)
    assert told(Calculator(knowing, threads=1), atoms)


def test_pairs_that_the_manifest_does_not_know_are_never_told(knowing: Path, copied: Path) -> None:
    assert told(Calculator(knowing, threads=1), pair("O2", 0.5)) == []
    for shortest in (None, {}):
        unknowing = Calculator(_stamp(copied, shortest), threads=1, on_overlap="raise")
        assert told(unknowing, pair("SiO", 0.5)) == []


def test_an_error_or_nothing_where_that_is_asked_for(knowing: Path) -> None:
    strict = Calculator(knowing, threads=1, on_overlap="raise")
    for calculator in (strict, pickle.loads(pickle.dumps(strict))):
        for _ in range(2):
            with pytest.raises(OverlapError, match=r"1\.300 Å apart") as caught:
                calculator.evaluate(pair("SiO", 1.3))
            assert "on_overlap" in str(caught.value.hint)
        assert calculator.evaluate(pair("SiO", 1.41)).energy
    assert told(Calculator(knowing, threads=1, on_overlap="ignore"), pair("SiO", 1.3)) == []
    with pytest.raises(UnknownNameError, match="stop"):
        Calculator(knowing, threads=1, on_overlap="stop")  # type: ignore[arg-type]


def test_manifests_that_say_nothing_are_read_and_garbled_ones_are_not(copied: Path) -> None:
    document = json.loads(copied.with_suffix(".json").read_text(encoding="utf-8"))
    del document["shortest_distances"]  # as before there was such a field
    copied.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    assert load_artefact(copied).manifest.shortest_distances is None
    Calculator(copied, threads=1)
    with pytest.raises(ArtefactError, match="shortest distance"):
        load_artefact(_stamp(copied, {"O-Si": -1.0}))
