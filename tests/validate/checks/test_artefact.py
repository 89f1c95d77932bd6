"""A sound file has no problems; one damaged in one way has just that one."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from m3compress.validate.checks.artefact import CHECKS
from m3compress.validate.result import Tier, Verdict
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.subject import exported

IDS = [check.id for check in CHECKS]
#: What is found in the manifest alone.
OF_THE_MANIFEST = {"artefact.form", "artefact.conventions", "artefact.facts"}


@pytest.fixture
def copied(silica_artefact: Path, tmp_path: Path) -> Path:
    """A copy of the file and its manifest, to damage."""
    for file in (silica_artefact, silica_artefact.with_suffix(".json")):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / silica_artefact.name


@pytest.fixture
def verdicts(make_context, run_check):
    """``verdicts(path)``: what fails, with its problems."""

    def find(path: Path) -> dict[str, list[str]]:
        context = make_context(exported(path, threads=1))
        found = {name: run_check(CHECKS, name, context, None) for name in IDS}
        assert {verdict for verdict, _ in found.values()} <= {Verdict.PASS, Verdict.FAIL}
        return {
            name: measurement.evidence["problems"]
            for name, (verdict, measurement) in found.items()
            if verdict is Verdict.FAIL
        }

    return find


def edit(path: Path, **fields):
    beside = path.with_suffix(".json")
    document = json.loads(beside.read_text())
    beside.write_text(json.dumps({**document, **fields}))


def rewrite(path: Path, model: onnx.ModelProto):
    """Save a changed graph as if it had been exported so."""
    path.write_bytes(model.SerializeToString())
    edit(path, artefact_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_every_limit_has_its_check():
    assert sorted(IDS) == sorted(name for name in read_limits("ci") if name.startswith("artefact."))
    assert {check.tier for check in CHECKS} == {Tier.ARTEFACT}


def test_a_sound_file_has_no_problems(silica_artefact, verdicts):
    assert verdicts(silica_artefact) == {}


def test_other_candidates_are_skipped(builtin_spec, make_context, run_check):
    for name in IDS:
        assert run_check(CHECKS, name, make_context(builtin_spec), None)[0] is Verdict.SKIPPED


def test_a_flipped_bit(copied, verdicts):
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    failed = verdicts(copied)
    # The engine refuses to open it, and so no element computes either.
    assert set(failed) == {"artefact.hash", "artefact.elements"}
    assert "sha256 is" in failed["artefact.hash"][0]
    assert "damaged" in failed["artefact.elements"][0]


def test_a_truncated_file(copied, verdicts):
    copied.write_bytes(copied.read_bytes()[:1000])
    failed = verdicts(copied)
    assert set(failed) == {*IDS} - OF_THE_MANIFEST
    assert "not an ONNX graph" in failed["artefact.operators"][0]


def test_a_missing_file(copied, verdicts):
    copied.unlink()
    assert set(verdicts(copied)) == {*IDS} - OF_THE_MANIFEST


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ("{}", "not an m3compress manifest"), (None, "No such file")],
)
def test_a_manifest_that_cannot_be_read(content, message, copied, verdicts):
    beside = copied.with_suffix(".json")
    if content is None:
        beside.unlink()
    else:
        beside.write_text(content)
    failed = verdicts(copied)
    assert set(failed) == set(IDS)
    assert message in failed["artefact.schema"][0]


def test_every_differing_field_is_counted(copied, verdicts):
    edit(copied, cutoff=4.9, energy_offset=1.0)
    problems = verdicts(copied)["artefact.metadata"]
    assert [problem.split(":")[0] for problem in problems] == ["energy_offset", "cutoff"]


def test_tensors_that_are_not_those_of_the_graph(copied, verdicts):
    beside = json.loads(copied.with_suffix(".json").read_text())
    beside["inputs"][0]["dtype"] = "float32"
    beside["outputs"][2]["shape"] = [3, "n_atoms"]
    edit(copied, **beside)
    problems = verdicts(copied)["artefact.schema"]
    assert problems == [
        "input species is int64(?), declared is float32(?)",
        "output virial is float32(?, 3, 3), declared is float32(3, ?)",
    ]


def test_wrong_units_and_conventions(copied, verdicts):
    beside = json.loads(copied.with_suffix(".json").read_text())
    beside["units"]["stress"] = "GPa"
    del beside["conventions"]["stress"]
    beside["conventions"]["cell"] = "columns are the cell vectors"
    edit(copied, **beside)
    problems = verdicts(copied)["artefact.conventions"]
    assert len(problems) == 3
    assert "GPa" in problems[0]
    assert "stress is None" in problems[1]
    assert "columns" in problems[2]


@pytest.mark.parametrize("field", ["sha256", "convention"])
def test_another_source(field, copied, verdicts):
    beside = json.loads(copied.with_suffix(".json").read_text())
    edit(copied, source={**beside["source"], field: "tf"})
    (problem,) = verdicts(copied)["artefact.conventions"]
    assert problem.startswith(f"source.{field} is tf, the reference's is")


@pytest.fixture(scope="module")
def said(silica_artefact: Path):
    """The manifest of the right file."""
    return json.loads(silica_artefact.with_suffix(".json").read_text())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda said: {"cutoff": 4.9}, "cutoff is 4.9, the reference's is 5.0"),
        (lambda said: {"three_body_cutoff": 3.5}, "three_body_cutoff is 3.5"),
        (
            lambda said: {"receptive_field": 2 * said["receptive_field"]},
            "receptive_field is",
        ),
        (lambda said: {"n_blocks": said["n_blocks"] - 1}, "n_blocks is"),
        (lambda said: {"energy_offset": 0.01}, "energy_offset is 0.01"),
        (
            lambda said: {"element_energies": [e + 1e-3 for e in said["element_energies"]]},
            "element_energies[O] is",
        ),
        (lambda said: {"elements": said["elements"][::-1]}, "elements is ('Si', 'O')"),
        (
            lambda said: {"three_body": {**said["three_body"], "study_only": True}},
            "three_body.study_only is True",
        ),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_numbers_that_are_not_the_references(wrong, problem, said, write_wrong, verdicts):
    failed = verdicts(write_wrong(**wrong(said)))
    assert set(failed) == {"artefact.facts"}
    assert failed["artefact.facts"][0].startswith(problem)


def test_a_form_for_studies_never_passes(said, write_wrong, make_context, run_check):
    pruned = {**said["three_body"], "method": "pruned", "fraction": 0.0, "seed": 0}
    path = write_wrong(three_body={**pruned, "study_only": True})
    context = make_context(exported(path, threads=1))
    verdict, found = run_check(CHECKS, "artefact.form", context, None)
    assert verdict is Verdict.FAIL
    assert found.evidence["problems"] == ["pruned(0) is for studies alone"]


@pytest.mark.parametrize("wrong", [0.55, 1.0, 3.0, None])
def test_another_training_domain(wrong, said, write_wrong, verdicts):
    own = said["shortest_distances"]
    failed = verdicts(write_wrong(shortest_distances={**own, "O-Si": wrong} if wrong else None))
    assert set(failed) == {"artefact.facts"}
    assert f"known is {own['O-Si']} Å" in " ".join(failed["artefact.facts"])


def test_a_file_without_a_manifest_inside(copied, verdicts):
    model = onnx.load(copied)
    del model.metadata_props[:]
    rewrite(copied, model)
    failed = verdicts(copied)
    assert failed["artefact.metadata"] == [f"{copied.name} holds no manifest"]


def test_an_element_that_does_not_compute(make_context, run_check, silica_artefact, changed):
    spec = exported(silica_artefact, threads=1)
    broken = changed(
        lambda atoms, result: {"forces": result.forces * np.nan} if "Si" in atoms.symbols else {}
    )
    context = make_context(replace(broken.spec, kind="artefact", path=spec.path))
    verdict, found = run_check(CHECKS, "artefact.elements", context, None)
    assert verdict is Verdict.FAIL
    # Oxygen is bonded to silicon as its next element, so both fail.
    assert [problem.split(":")[0] for problem in found.evidence["problems"]] == ["O", "Si"]
