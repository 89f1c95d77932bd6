"""A control counts as seen only if the checks that are there to see it fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

from m3compress.engines.dynamics.job import Job
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.runs import plan
from m3compress.validate.controls import selfcheck
from m3compress.validate.controls.broken import Reordered
from m3compress.validate.controls.selfcheck import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    judge_control,
    run_controls,
    seen,
    unseen,
    worth_nothing,
)
from m3compress.validate.report.document import ReferenceInfo, Report
from m3compress.validate.result import CheckResult, Limit, Measurement, Tier, Verdict, judge
from m3compress.validate.run import CHECKS
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import CI, PROFILES, SMOKE
from m3compress.validate.setup.settings import Settings
from m3compress.validate.setup.subject import trained

HOT = next(control for control in POSITIVE if control.name == "too-hot")
SQUEEZED = next(control for control in POSITIVE if control.name == "squeezed")
REMOVED = next(control for control in POSITIVE if control.name == "removed")
LIMIT = Limit(value=1.0, unit="%", source="a test")


def results(**values: float) -> list[CheckResult]:
    """One result per id (``__`` for the dot); a value above 1 fails."""
    return [
        CheckResult(
            id=name.replace("__", "."),
            tier=Tier.DYNAMICS,
            subject="artefact",
            measures="something",
            limit=LIMIT,
            verdict=judge(Measurement(value=value), LIMIT),
            measurement=Measurement(value=value),
        )
        for name, value in values.items()
    ]


def test_every_control_is_seen_by_checks_that_exist():
    for profile in PROFILES.values():
        known = read_limits(profile.name)
        for control in (one.within(profile) for one in POSITIVE):
            assert control.seen_by
            assert set(control.seen_by) <= set(known)
            assert all(known[name].value is not None for name in control.seen_by), control.name
    assert len({control.name for control in CONTROLS}) == len(CONTROLS)


@pytest.mark.parametrize(
    ("values", "verdict", "expected", "missed"),
    [
        ({"md__temperature": 2.0, "md__rdf": 0.5}, Verdict.FAIL, True, True),
        ({"md__temperature": 2.0, "md__rdf": 2.0}, Verdict.FAIL, True, False),
        # Failed, but by chance: not by the check that must see it.
        ({"md__temperature": 0.5, "md__rdf": 2.0}, Verdict.FAIL, False, False),
        ({"md__temperature": 0.5, "md__rdf": 0.5}, Verdict.PASS, False, True),
    ],
)
def test_a_broken_control_must_fail_by_its_own_checks(values, verdict, expected, missed):
    outcome = judge_control(HOT, 0, verdict, results(**values))
    assert (outcome.as_expected, outcome.missed_by_rdf) == (expected, missed)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_reference_itself_must_pass(verdict):
    outcome = judge_control(NEGATIVE, 0, verdict, results(md__rdf=0.5))
    assert outcome.as_expected is (verdict is Verdict.PASS)


def test_a_control_is_done_once_all_that_must_see_it_have():
    weak = next(control for control in POSITIVE if control.name == "weak-forces")
    assert seen(weak, results(grad__forces=2.0, **{"parity__force-scale": 0.5})) is None
    both = results(grad__forces=2.0, **{"parity__force-scale": 2.0})
    assert "grad.forces, parity.force-scale" in (seen(weak, both) or "")
    on_reference = [r.model_copy(update={"subject": "reference"}) for r in both]
    assert seen(weak, on_reference) is None
    assert seen(NEGATIVE, both) is None
    # What was not computed has missed nothing.
    assert judge_control(weak, 0, Verdict.FAIL, both).missed_by_rdf is None


def test_a_squeezed_crystal_must_be_seen_at_constant_pressure_where_that_is_run():
    assert SQUEEZED.within(SMOKE).seen_by == ("parity.stress",)
    within = SQUEEZED.within(CI)
    assert within.seen_by == ("parity.stress", "md.npt-volume")
    stress = results(parity__stress=2.0)
    assert seen(within, stress) is None, "the runs at constant pressure would be skipped"
    assert not judge_control(within, 0, Verdict.FAIL, stress).as_expected
    both = results(parity__stress=2.0, **{"md__npt-volume": 2.0})
    assert judge_control(within, 0, Verdict.FAIL, both).as_expected
    others = [control for control in CONTROLS if control is not SQUEEZED]
    assert all(control.within(CI).seen_by == control.seen_by for control in others)


def never_asked() -> str | None:
    raise AssertionError("the share decides nothing here")


def removed(rmse: float, angle: float) -> list[CheckResult]:
    return results(**{"parity__force-rmse": rmse, "smooth__angle": angle})


@pytest.mark.parametrize("values", [(0.1, 0.1), (0.1, 2.0)])
def test_a_block_that_does_nothing_need_not_be_seen_to_be_spoiled(values):
    found = removed(*values)
    reason = unseen(REMOVED, found, lambda: "it does nothing") or ""
    blind = "parity.force-rmse, smooth.angle" if max(values) < 1 else "parity.force-rmse"
    assert reason == f"it does nothing, so that {blind} cannot see what is done to it"
    outcome = judge_control(REMOVED, 0, Verdict.PASS, found, lambda: "it does nothing")
    assert (outcome.verdict, outcome.as_expected) == (Verdict.SKIPPED, None)
    assert outcome.skipped == reason
    # Of a block that matters the same results are a fault of the gate.
    outcome = judge_control(REMOVED, 0, Verdict.PASS, found, lambda: None)
    assert (outcome.as_expected, outcome.skipped) == (False, None)


def test_nothing_else_is_excused_by_a_block_that_does_nothing():
    # What was seen counts, what was not computed excuses nothing, others do not spoil the block.
    seen_by_both = judge_control(REMOVED, 0, Verdict.FAIL, removed(2.0, 2.0), never_asked)
    assert (seen_by_both.as_expected, seen_by_both.skipped) == (True, None)
    assert unseen(REMOVED, removed(0.1, 0.1)[:1], never_asked) is None
    broken = removed(0.1, 0.1)
    broken[1] = broken[1].model_copy(update={"verdict": Verdict.ERROR})
    assert unseen(REMOVED, broken, never_asked) is None
    cold = judge_control(HOT, 0, Verdict.PASS, results(md__temperature=0.5), never_asked)
    assert (cold.as_expected, cold.skipped) == (False, None)
    assert judge_control(NEGATIVE, 0, Verdict.PASS, results(), never_asked).as_expected
    of_block = [control.name for control in CONTROLS if control.of_block]
    assert of_block == ["removed", "pruned", "misrouted"]


def test_the_share_of_the_model_says_whether_its_block_does_nothing(
    builtin_spec, shared: Path, tmp_path: Path
):
    settings = Settings(artefact=tmp_path / "a.m3c.onnx", model=builtin_spec.path)
    assert worth_nothing(settings) is None
    old = replace(settings, model=str(shared / "models" / "M3GNet-MP-2021.2.8-PES"))
    assert "moves forces by 0.0294 meV/Å" in (worth_nothing(old) or "")


def test_what_fails_on_the_reference_is_not_the_controls_doing():
    found = [r.model_copy(update={"subject": "reference"}) for r in results(md__temperature=2.0)]
    assert judge_control(HOT, 0, Verdict.PASS, found).failed == ()


def test_a_control_stands_in_for_the_file():
    reference = trained("model", "tf")
    itself = replace(reference, name="itself", precision="float32")
    assert NEGATIVE.candidate(reference) == Reordered(itself)
    # What is too hot is the trained model itself: only its runs are other than they should be.
    same = replace(reference, name="too-hot", precision="float32")
    assert HOT.candidate(reference) == same
    job = Job(
        name="run",
        evaluator=same,
        structure=bulk("Si"),
        ensemble="nvt",
        temperature=300.0,
        timestep=2.0,
        equilibration=10,
        steps=10,
        every=1,
        seed=0,
    )
    assert HOT.alter(job) == replace(job, temperature=300 * 1.15)
    assert all(c.alter(job) == job for c in CONTROLS if c is not HOT)
    # No two are the same.
    whole = {repr((c.candidate(reference), c.alter(job).temperature)) for c in CONTROLS}
    assert len(whole) == len(CONTROLS)


def test_only_the_runs_of_the_candidate_are_altered(make_context, builtin_spec):
    sample = Named("silicon", bulk("Si", cubic=True))
    context = make_context(HOT.candidate(builtin_spec), samples=(sample,))
    straight, altered = plan(context), plan(replace(context, stand_in=HOT))
    assert straight.keys() == altered.keys()
    for name, job in altered.items():
        factor = 1.15 if "-candidate-" in name else 1.0
        assert job.temperature == context.profile.temperature * factor
        assert replace(job, temperature=straight[name].temperature) == straight[name]


def test_all_controls_run_over_one_set_of_trajectories(tmp_path: Path, monkeypatch):
    asked: list[tuple[Settings, Path, dict[str, Any]]] = []

    def validate(settings: Settings, folder: Path, **options: Any) -> Report:
        asked.append((settings, folder, options))
        return Report(
            created="",
            tools={},
            machine={},
            artefact=None,
            reference=ReferenceInfo(name="", sha256="", convention="", format=""),
            profile=settings.read_profile(),
            seed=settings.seed,
            command="",
            results=tuple(results(md__rdf=0.5)),
            seconds=0.0,
        )

    monkeypatch.setattr(selfcheck, "validate", validate)
    monkeypatch.setattr(selfcheck, "worth_nothing", lambda settings: "it does nothing")
    (tmp_path / "a.m3c.onnx").write_bytes(b"graph")
    (tmp_path / "model").write_bytes(b"weights")
    settings = Settings(
        artefact=tmp_path / "a.m3c.onnx", model=str(tmp_path / "model"), profile="smoke", seed=3
    )
    outcomes = run_controls(settings, tmp_path, resume=True)
    assert [o.control for o in outcomes] == list(CONTROLS)
    assert [o.as_expected for o in outcomes] == [True, *[False] * len(POSITIVE)]
    assert [folder.name for _, folder, _ in asked] == [control.name for control in CONTROLS]
    assert {options["trajectories"] for _, _, options in asked} == {tmp_path / "trajectories"}
    # A control that was never begun is begun, also when the others are resumed.
    assert not any(options["resume"] for _, _, options in asked)
    written = json.loads((tmp_path / "selfcheck.json").read_text())
    assert [row["must"] for row in written] == ["pass", *["fail"] * len(POSITIVE)]
    # A control is done once it is seen; the reference itself never is.
    hot = results(md__temperature=2.0)
    blind = [s.control for s, _, options in asked if options["enough"](removed(0.1, 0.1))]
    assert blind == [REMOVED], "it need not go on either"
    reasons = {settings.control: options["enough"](hot) for settings, _, options in asked}
    assert [control for control, reason in reasons.items() if reason] == [HOT]
    for settings_of, _, options in asked:
        order, must = [check.id for check in options["checks"]], settings_of.control.seen_by
        assert set(order[: len(must)]) == set(must)
        assert sorted(order) == sorted(check.id for check in CHECKS)
    asked.clear()
    run_controls(settings, tmp_path, whole=True, resume=True)
    assert not any(options["enough"](hot) for _, _, options in asked)
    assert all(options["checks"] == CHECKS for _, _, options in asked)


def test_what_is_known_of_the_reference_is_that_of_one_run(tmp_path: Path):
    for name in ("a.m3c.onnx", "model"):
        (tmp_path / name).write_bytes(b"something")
    folder, model = tmp_path / "controls", str(tmp_path / "model")
    settings = Settings(artefact=tmp_path / "a.m3c.onnx", model=model, profile="smoke")
    run_controls(settings, folder, controls=())
    kept = folder / "results" / "inv.energy.reference.json"
    kept.parent.mkdir()
    kept.write_text("[]")
    with pytest.raises(M3CompressError, match="differs in seed"):
        run_controls(replace(settings, seed=1), folder, controls=())
    assert kept.exists()
    run_controls(replace(settings, seed=1), folder, controls=(), force=True)
    assert not kept.exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_results_that_is_no_run_stays(tmp_path: Path, force: bool):
    settings = Settings(artefact=tmp_path / "a.m3c.onnx", model="model", profile="smoke")
    folder = tmp_path / "controls"
    mine = folder / "results" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(M3CompressError, match=r"is not that of a run: it holds results"):
        run_controls(settings, folder, controls=(), force=force)
    assert mine.read_text() == "mine"
