"""The parity tier: candidate and reference on the same structures, forces against DFT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from m3compress.errors import StructureError
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.parity import CHECKS
from m3compress.validate.checks.predictions import visited
from m3compress.validate.result import Verdict
from m3compress.validate.setup.profiles import CI
from m3compress.validate.setup.subject import TrainedSpec

COMPRESSION = (
    *("parity.energy", "parity.force-mae", "parity.force-rmse", "parity.force-max"),
    *("parity.force-cosine", "parity.force-scale", "parity.stress"),
)
EXPORT = (
    *("parity.export-force", "parity.export-energy"),
    *("parity.export-atom-energy", "parity.export-stress"),
)
VISITED = ("Si-diamond-rattled", "SiO2-quartz-rattled", "expanded-0")


@dataclass(frozen=True, kw_only=True)
class OpenedSpec(TrainedSpec):
    """The spec of a subject that is there already."""

    subject: Any = None

    def open(self) -> Any:
        return self.subject


def opened(subject, name):
    return OpenedSpec(path=name, name=name, subject=subject)


def scaled(factor):
    return lambda atoms, result: {
        "forces": factor * result.forces,
        "virial": factor * result.virial,
    }


def noisy(width):
    def change(atoms, result):
        rng = np.random.default_rng(len(atoms))
        return {"forces": result.forces + rng.normal(0, width, result.forces.shape)}

    return change


def turned(angle):
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return lambda atoms, result: {"forces": result.forces @ rotation.T}


@pytest.mark.parametrize("name", COMPRESSION)
def test_a_perfect_copy_passes(name, fake_gate, changed, run_check):
    candidate = changed()
    verdict, found = run_check(CHECKS, name, fake_gate(candidate), candidate)
    assert verdict is Verdict.PASS
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.evidence["n_structures"] == len(VISITED)


def test_weak_forces_are_seen_by_slope_and_errors_but_not_by_their_direction(
    fake_gate, changed, run_check
):
    candidate = changed(scaled(0.95))
    context = fake_gate(candidate)
    verdicts = {name: run_check(CHECKS, name, context, candidate) for name in COMPRESSION}
    failed = {name for name, (verdict, _) in verdicts.items() if verdict is Verdict.FAIL}
    assert failed == {
        "parity.force-mae",
        "parity.force-rmse",
        "parity.force-scale",
        "parity.stress",
    }
    assert verdicts["parity.force-scale"][1].value == pytest.approx(0.05)
    assert verdicts["parity.force-scale"][1].evidence["slope"] == pytest.approx(0.95)
    assert verdicts["parity.force-rmse"][1].value == pytest.approx(5.0)


def test_numbers_are_those_of_the_textbook(fake_gate, changed, run_check, pair_subject):
    candidate = changed(noisy(0.01))
    context = fake_gate(candidate)
    frames = [named.atoms for named in visited(context)]
    ours = np.concatenate([candidate.evaluate(atoms).forces for atoms in frames])
    theirs = np.concatenate([pair_subject.evaluate(atoms).forces for atoms in frames])
    value = {name: run_check(CHECKS, name, context, candidate)[1].value for name in COMPRESSION}
    assert value["parity.force-mae"] == pytest.approx(np.abs(ours - theirs).mean())
    rmse = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    assert value["parity.force-rmse"] == pytest.approx(100 * rmse)
    assert value["parity.force-max"] == pytest.approx(np.abs(ours - theirs).max())
    slope = np.linalg.lstsq(theirs.reshape(-1, 1), ours.ravel(), rcond=None)[0][0]
    assert value["parity.force-scale"] == pytest.approx(abs(slope - 1))


def test_turned_forces_are_seen_by_their_cosine(fake_gate, changed, run_check):
    candidate = changed(turned(0.2))
    context = fake_gate(candidate)
    verdict, found = run_check(CHECKS, "parity.force-cosine", context, candidate)
    assert verdict is Verdict.FAIL
    assert 0 < found.value < 1 - np.cos(0.2) + 1e-9


def test_shifted_energies_are_seen_by_the_energy_alone(fake_gate, changed, run_check):
    candidate = changed(lambda atoms, result: {"energy": result.energy + 0.002 * len(atoms)})
    context = fake_gate(candidate)
    verdicts = {name: run_check(CHECKS, name, context, candidate) for name in COMPRESSION}
    assert [name for name, (v, _) in verdicts.items() if v is Verdict.FAIL] == ["parity.energy"]
    assert verdicts["parity.energy"][1].value == pytest.approx(0.002)


def test_a_wrong_virial_is_seen_by_the_stress_alone(fake_gate, changed, run_check):
    candidate = changed(
        lambda atoms, result: {"virial": result.virial + 0.1 * len(atoms) * np.eye(3)}
    )
    context = fake_gate(candidate)
    verdicts = {name: run_check(CHECKS, name, context, candidate) for name in COMPRESSION}
    assert [name for name, (v, _) in verdicts.items() if v is Verdict.FAIL] == ["parity.stress"]


def test_evidence_and_curves_tell_elements_apart(fake_gate, changed, run_check):
    def change(atoms, result):
        wrong = (atoms.symbols == "O")[:, None] * 0.1
        return {"forces": result.forces + wrong}

    candidate = changed(change)
    _, found = run_check(CHECKS, "parity.force-mae", fake_gate(candidate), candidate)
    table = found.evidence["by_element"]
    assert table["O"]["mae"] == pytest.approx(0.1)
    assert table["Si"]["mae"] == pytest.approx(0.0, abs=1e-12)
    clouds = {curve.label: curve for curve in found.curves}
    assert set(clouds) == {"O", "Si"}
    assert np.allclose(np.subtract(clouds["O"].y, clouds["O"].x), 0.1)
    assert {curve.style for curve in found.curves} == {"scatter"}


def test_curves_are_thinned(fake_gate, pair_subject, run_check):
    context = fake_gate(pair_subject)
    large = Named("big-rattled", context.zoo[1].atoms.repeat((6, 6, 4)))
    context = replace(context, zoo=(*context.zoo, large))
    _, found = run_check(CHECKS, "parity.force-mae", context, pair_subject)
    assert 500 < sum(len(curve.x) for curve in found.curves) <= 2000


def test_a_structure_that_cannot_be_treated_is_an_error_beside_the_others(
    fake_gate, changed, run_check
):
    def change(atoms, result):
        if "O" in atoms.symbols:
            raise StructureError("no oxygen today")
        return {}

    candidate = changed(change)
    context = fake_gate(candidate)
    (check,) = (check for check in CHECKS if check.id == "parity.force-mae")
    broken, rest = check.run(context, candidate)
    assert (broken.structure, rest.error) == ("SiO2-quartz-rattled", None)
    assert "no oxygen today" in broken.error
    assert rest.value == 0.0


def test_forces_that_are_no_numbers_fail(fake_gate, changed, run_check):
    candidate = changed(lambda atoms, result: {"forces": np.full_like(result.forces, np.nan)})
    context = fake_gate(candidate)
    for name in ("parity.force-mae", "parity.force-rmse", "parity.force-cosine"):
        assert run_check(CHECKS, name, context, candidate)[0] is Verdict.FAIL


def test_every_structure_is_evaluated_once(fake_gate, changed, run_check):
    seen = []
    candidate = changed(lambda atoms, result: seen.append(atoms) or {})
    context = fake_gate(candidate)
    for name in COMPRESSION:
        run_check(CHECKS, name, context, candidate)
    assert len(seen) == len(context.zoo)


def test_a_control_has_no_export_error(fake_gate, changed, run_check):
    candidate = changed()
    for name in EXPORT:
        verdict, found = run_check(CHECKS, name, fake_gate(candidate), candidate)
        assert verdict is Verdict.SKIPPED
        assert "control" in found.skipped


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (None, set()),
        (noisy(2e-4), {"parity.export-force"}),
        (
            lambda atoms, result: {"energy": result.energy + 1e-5 * len(atoms)},
            {"parity.export-energy"},
        ),
        (
            lambda atoms, result: {"energies": result.energies[::-1]},
            {"parity.export-atom-energy"},
        ),
        (lambda atoms, result: {"virial": 1.003 * result.virial}, {"parity.export-stress"}),
        (
            lambda atoms, result: {"virial": (0.8 if len(atoms) == 9 else 1) * result.virial},
            {"parity.export-stress"},
        ),
    ],
)
def test_the_export_error_is_that_against_the_twin(
    change, failing, make_context, changed, small_zoo, run_check
):
    # The twin is far from the reference, as a model without its three-body block is.
    twin, candidate = changed(scaled(0.5)), changed(scaled(0.5))
    if change is not None:
        half = candidate.change
        candidate.change = lambda atoms, result: {
            **half(atoms, result),
            **change(atoms, twin.evaluate(atoms)),
        }
    context = make_context(
        opened(candidate, "candidate"),
        opened(changed(), "reference"),
        twin=opened(twin, "twin"),
        zoo=small_zoo,
    )
    found = {name: run_check(CHECKS, name, context, candidate) for name in EXPORT}
    assert {name for name, (verdict, _) in found.items() if verdict is Verdict.FAIL} == failing
    if not failing:
        assert {verdict for verdict, _ in found.values()} == {Verdict.PASS}
        assert len(found["parity.export-force"][1].evidence["values"]) == len(small_zoo)


def test_a_twin_like_the_reference_is_not_evaluated_again(
    make_context, changed, small_zoo, run_check
):
    seen = []
    reference = opened(changed(lambda atoms, result: seen.append(atoms) or {}), "reference")
    context = make_context(
        opened(changed(), "candidate"),
        reference,
        twin=replace(reference, name="twin"),
        zoo=small_zoo,
    )
    for name in ("parity.export-force", "parity.force-mae"):
        assert run_check(CHECKS, name, context, context.candidate_subject)[0] is Verdict.PASS
    assert len(seen) == len(small_zoo)


def test_the_exported_file_of_the_built_in_model_passes(
    make_context, artefact_spec, builtin_spec, small_zoo, run_check
):
    context = make_context(artefact_spec, twin=replace(builtin_spec, name="twin"), zoo=small_zoo)
    for name in (*EXPORT, *COMPRESSION):
        verdict, found = run_check(CHECKS, name, context, context.candidate_subject)
        assert verdict is Verdict.PASS, found


def test_the_built_in_model_without_its_three_body_block_fails(
    make_context, builtin_spec, small_zoo, run_check
):
    removed = replace(builtin_spec, name="removed", form="removed", precision="float32")
    context = make_context(removed, zoo=small_zoo)
    for name in ("parity.energy", "parity.force-rmse", "parity.force-cosine", "parity.stress"):
        assert run_check(CHECKS, name, context, context.candidate_subject)[0] is Verdict.FAIL


def labelled(context, subject, n_frames=12, width=0.1):
    """Frames with forces that the subject misses by normal noise."""
    rng = np.random.default_rng(3)
    frames = []
    for number in range(n_frames):
        atoms = visited(context)[number % 3].atoms.copy()
        atoms.rattle(0.05, seed=number)
        result = subject.evaluate(atoms)
        forces = result.forces + rng.normal(0, width, result.forces.shape)
        atoms.calc = SinglePointCalculator(
            atoms, forces=forces, energy=result.energy + 0.01 * len(atoms)
        )
        frames.append(Named(f"frame-{number}", atoms))
    return tuple(frames)


def test_labels_are_skipped_where_there_are_none(fake_gate, changed, run_check):
    candidate = changed()
    verdict, found = run_check(CHECKS, "parity.labels", fake_gate(candidate), candidate)
    assert verdict is Verdict.SKIPPED
    assert found.skipped == "no labelled file was given"


@pytest.mark.parametrize(("factor", "expected"), [(1.0, Verdict.PASS), (0.7, Verdict.FAIL)])
def test_errors_against_labels_are_those_of_the_reference_or_worse(
    factor, expected, fake_gate, changed, pair_subject, run_check
):
    candidate = changed(scaled(factor))
    context = fake_gate(candidate)
    context = replace(context, labels=labelled(context, pair_subject))
    verdict, found = run_check(CHECKS, "parity.labels", context, candidate)
    assert verdict is expected
    low, high = found.interval
    assert low <= found.value <= high
    assert found.evidence["n_frames"] == 12
    assert found.evidence["reference_force_mae"] == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.1)
    assert found.evidence["reference_energy_mae"] == pytest.approx(0.01)
    assert found.evidence["frames_with_energy"] == 12
    assert found.evidence["frames_with_stress"] == 0


def test_few_frames_are_inconclusive(fake_gate, changed, pair_subject, run_check):
    candidate = changed(noisy(0.03))
    context = fake_gate(candidate)
    context = replace(context, labels=labelled(context, pair_subject, n_frames=3))
    verdict, found = run_check(CHECKS, "parity.labels", context, candidate)
    assert verdict is Verdict.INCONCLUSIVE
    assert found.needs == "labelled frames"


def test_labels_made_with_the_reference_are_no_labels(fake_gate, changed, pair_subject, run_check):
    candidate = changed(scaled(0.7))
    context = fake_gate(candidate)
    context = replace(context, labels=labelled(context, pair_subject, width=0.0))
    verdict, found = run_check(CHECKS, "parity.labels", context, candidate)
    assert verdict is Verdict.ERROR
    assert "own forces" in found.error


def test_the_stress_error_against_labels_is_in_gpa(fake_gate, changed, pair_subject, run_check):
    candidate = changed()
    context = fake_gate(candidate)
    frames = labelled(context, pair_subject)
    for named in frames:
        stress = pair_subject.evaluate(named.atoms).stress(named.atoms) + units.GPa
        named.atoms.calc.results["stress"] = stress
    context = replace(context, labels=frames)
    _, found = run_check(CHECKS, "parity.labels", context, candidate)
    assert found.evidence["stress_mae"] == pytest.approx(1.0)


def test_short_profiles_look_at_some_frames_only(fake_gate, changed, pair_subject, run_check):
    candidate = changed()
    context = fake_gate(candidate)
    context = replace(context, labels=labelled(context, pair_subject, n_frames=30))
    _, smoke = run_check(CHECKS, "parity.labels", context, candidate)
    _, ci = run_check(CHECKS, "parity.labels", replace(context, profile=CI), candidate)
    assert (smoke.evidence["n_frames"], ci.evidence["n_frames"]) == (20, 30)
