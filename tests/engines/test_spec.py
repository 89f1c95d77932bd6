"""An exported file as a value."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace

import pytest

from m3compress.engines.dynamics.loaded import Loaded
from m3compress.engines.spec import ArtefactSpec


def test_a_spec_survives_json_and_pickling_and_opens_the_file(artefact, structures):
    spec = ArtefactSpec(path=str(artefact), threads=1)
    again = ArtefactSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again.with_threads(1) == spec == pickle.loads(pickle.dumps(spec))
    evaluator = spec.open()
    assert "Si" in evaluator.elements
    assert evaluator.evaluate(structures["triclinic"]).forces.shape == (4, 3)


def test_what_is_in_the_file_decides_who_it_is(artefact, tmp_path):
    spec = ArtefactSpec(path=str(artefact))
    copy = tmp_path / "copy.m3c.onnx"
    shutil.copyfile(artefact, copy)
    moved = ArtefactSpec(path=str(copy), threads=3)
    assert moved.identity() == spec.identity()
    assert replace(spec, device="cuda").identity() != spec.identity()
    copy.write_bytes(copy.read_bytes() + b"x")
    assert moved.identity() != spec.identity()


@pytest.mark.parametrize("document", [{}, {"kind": "model", "path": "x"}])
def test_the_document_of_something_else_is_refused(document):
    with pytest.raises(ValueError, match="expected kind 'artefact'"):
        ArtefactSpec.from_json(document)


def test_what_is_open_is_known_by_its_content():
    evaluator = object()
    loaded = Loaded(evaluator=evaluator, content="a hash")
    assert loaded.open() is evaluator
    assert loaded.with_threads(2) is loaded
    assert loaded.identity() == Loaded(evaluator=object(), content="a hash").identity()
    assert loaded.identity() != Loaded(evaluator=evaluator, content="another").identity()
