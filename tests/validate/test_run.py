"""Results are kept, recalled and judged again; one broken check stops no other."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m3compress.errors import M3CompressError
from m3compress.validate.checks.building import Check
from m3compress.validate.result import Curve, Limit, Measurement, Tier, Verdict
from m3compress.validate.run import CHECKS, claim_workplace, only_run, run_checks
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.profiles import SMOKE


class Spec:
    """Opens to a name, or not at all."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name, self.error = name, error

    def open(self) -> Any:
        if self.error:
            raise self.error
        return self.name


def gate_in(folder: Path, candidate: Any = None, **fields: Any) -> Context:
    return Context(
        candidate=candidate or Spec("candidate"),
        reference=Spec("reference"),  # type: ignore[arg-type]
        twin=None,
        profile=SMOKE,
        zoo=(),
        crystals=(),
        samples=(),
        workplace=folder,
        trajectories=folder / "trajectories",
        **fields,
    )


class Counted:
    """A check that counts its runs and sees whom it measures."""

    def __init__(self, *found: Measurement | Exception) -> None:
        self.found, self.seen = found, []

    def __call__(self, context: Context, subject: Any) -> Any:
        self.seen.append(subject)
        for one in self.found:
            if isinstance(one, Exception):
                raise one
            yield one


def check_of(run: Any, name: str = "md.rdf", *, on_reference: bool = False) -> Check:
    return Check(name, "something", run, on_reference)


def limits_of(value: float | None = 1.0) -> dict[str, Limit]:
    return {name: Limit(value=value, unit="eV", source="a test") for name in ("md.rdf", "md.adf")}


def test_the_cheap_and_the_fatal_come_first():
    order = [list(Tier).index(check.tier) for check in CHECKS]
    assert order == sorted(order)
    assert CHECKS[0].tier is Tier.ARTEFACT


def test_an_exception_is_an_error_and_the_others_still_run(tmp_path):
    first = Counted(Measurement(structure="a", value=0.5), RuntimeError("went wrong"))
    second = Counted(Measurement(value=2.0))
    found = run_checks(
        gate_in(tmp_path), limits_of(), checks=[check_of(first), check_of(second, "md.adf")]
    )
    assert [(r.id, r.verdict) for r in found] == [
        ("md.rdf", Verdict.PASS),
        ("md.rdf", Verdict.ERROR),
        ("md.adf", Verdict.FAIL),
    ]
    assert found[1].measurement.error == "RuntimeError: went wrong"
    known = run_checks(
        gate_in(tmp_path / "known"),
        limits_of(),
        checks=[check_of(Counted(M3CompressError("a known reason")))],
    )
    assert known[0].measurement.error == "a known reason"


def test_what_comes_after_enough_is_skipped_with_the_reason(tmp_path):
    first, second = Counted(Measurement(value=2.0)), Counted(Measurement(value=0.5))
    checks = [check_of(first), check_of(second, "md.adf", on_reference=True)]

    def enough(found: Any) -> str | None:
        return "seen" if any(r.verdict is Verdict.FAIL for r in found) else None

    found = run_checks(gate_in(tmp_path), limits_of(), checks=checks, enough=enough)
    assert [r.verdict for r in found] == [Verdict.FAIL, Verdict.SKIPPED, Verdict.SKIPPED]
    assert found[1].measurement.skipped == "seen"
    assert second.seen == []
    # Nothing of that is kept: the same gate in full measures it.
    again = run_checks(gate_in(tmp_path), limits_of(), checks=checks)
    assert [r.verdict for r in again] == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]


def test_what_is_found_on_the_reference_is_shared_as_the_trajectories_are(tmp_path):
    run = Counted(Measurement(value=0.5))
    for name in ("one", "other"):
        context = replace(gate_in(tmp_path / name), trajectories=tmp_path / "trajectories")
        run_checks(context, limits_of(), checks=[check_of(run, on_reference=True)])
    assert run.seen == ["candidate", "reference", "candidate"]


def test_a_check_that_measures_nothing_does_not_pass(tmp_path):
    (found,) = run_checks(gate_in(tmp_path), limits_of(), checks=[check_of(Counted())])
    assert found.verdict is Verdict.ERROR
    assert "measured nothing" in (found.measurement.error or "")


def test_a_candidate_that_cannot_be_opened_is_an_error_of_every_check(tmp_path):
    context = gate_in(tmp_path, Spec("candidate", M3CompressError("damaged")))
    run = Counted(Measurement(value=0.0))
    found = run_checks(
        context, limits_of(), checks=[check_of(run, on_reference=True), check_of(run, "md.adf")]
    )
    assert [(r.subject, r.verdict) for r in found] == [
        ("artefact", Verdict.ERROR),
        ("reference", Verdict.PASS),
        ("artefact", Verdict.ERROR),
    ]


def test_an_interrupt_is_not_a_result(tmp_path):
    def interrupted(context, subject):
        raise KeyboardInterrupt

    done = Counted(Measurement(value=0.5))
    checks = [check_of(done), check_of(interrupted, "md.adf")]
    with pytest.raises(KeyboardInterrupt):
        run_checks(gate_in(tmp_path), limits_of(), checks=checks)
    # The next run has the first result and makes the second.
    rest = Counted(Measurement(value=0.5))
    found = run_checks(gate_in(tmp_path), limits_of(), checks=[checks[0], check_of(rest, "md.adf")])
    assert [r.verdict for r in found] == [Verdict.PASS] * 2
    assert (len(done.seen), len(rest.seen)) == (1, 1)


def test_results_are_recalled_with_the_same_values(tmp_path):
    curve = Curve(figure="f", label="l", structure="s", x_label="x", y_label="y", x=(1,), y=(0.1,))
    run = Counted(
        Measurement(structure="a", value=1 / 3, interval=(0.1, 0.7), evidence={"n": [1, 2.5]}),
        Measurement(structure="b", value=0.1 + 0.2, curves=(curve,)),
        Measurement(structure="c", skipped="no such thing"),
        Measurement(structure="d", value=float("nan"), interval=(0.0, float("inf"))),
    )
    checks = [check_of(run, on_reference=True)]
    ticks = []
    first = run_checks(
        gate_in(tmp_path, progress=lambda what, part: ticks.append((what, part))),
        limits_of(),
        checks=checks,
    )
    assert ticks == [("md.rdf", 0.0), ("md.rdf", 0.5), ("done", 1.0)]
    assert [r.verdict.value for r in first] == ["pass", "pass", "skipped", "fail"] * 2
    again = run_checks(gate_in(tmp_path), limits_of(), checks=checks)
    assert run.seen == ["candidate", "reference"]
    # NaN is not equal to itself: the text is.
    assert [r.model_dump_json() for r in again] == [r.model_dump_json() for r in first]


def test_recalled_results_are_judged_by_the_limits_of_now(tmp_path):
    run = Counted(Measurement(value=0.5, interval=(0.4, 0.6)))
    checks, verdicts = [check_of(run)], []
    for value in (1.0, 0.5, 0.3, None, 1.0):
        (found,) = run_checks(gate_in(tmp_path), limits_of(value), checks=checks)
        assert found.limit.value == value
        verdicts.append(found.verdict.value)
    assert verdicts == ["pass", "inconclusive", "fail", "pass", "pass"]
    assert len(run.seen) == 1


@pytest.mark.parametrize("content", ["", "{}", '[{"id": "md.rdf"}]', "[1"])
def test_a_result_of_another_version_is_refused(tmp_path, content):
    path = tmp_path / "results" / "md.rdf.artefact.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(M3CompressError, match="not a result of this version") as caught:
        run_checks(gate_in(tmp_path), limits_of(), checks=[check_of(Counted())])
    assert "--force" in (caught.value.hint or "")


PRINT = {"seed": 1, "artefact": "abc", "control": {"form": "native"}, "list": (1, 2)}


def test_a_new_folder_is_claimed_and_an_old_one_only_resumed(tmp_path):
    folder = tmp_path / "deep" / "work"
    claim_workplace(folder, PRINT, resume=False)
    assert json.loads((folder / "run.json").read_text())["seed"] == 1
    claim_workplace(folder, PRINT, resume=True)
    with pytest.raises(M3CompressError, match="holds an earlier run of the same") as caught:
        claim_workplace(folder, PRINT, resume=False)
    assert "--resume" in (caught.value.hint or "")


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed"),
        ({"artefact": "abd", "seed": 3}, "artefact, seed"),
        ({"control": {"form": "removed"}}, "control"),
        ({"new": 1}, "new"),
    ],
)
def test_the_folder_of_another_run_is_refused(tmp_path, resume, change, named):
    claim_workplace(tmp_path, PRINT, resume=False)
    with pytest.raises(M3CompressError, match=f"holds another run: it differs in {named} "):
        claim_workplace(tmp_path, {**PRINT, **change}, resume=resume)


def test_nothing_is_resumed_where_nothing_is(tmp_path):
    with pytest.raises(M3CompressError, match="no run to resume"):
        claim_workplace(tmp_path, PRINT, resume=True)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_a_damaged_note_is_told(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(M3CompressError, match="cannot be read"):
        claim_workplace(tmp_path, PRINT, resume=True)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(M3CompressError, match="cannot write"):
        claim_workplace(tmp_path / "file" / "work", PRINT, resume=False)


def test_an_error_is_tried_again_when_resumed(tmp_path):
    failing = [True]

    def run(context, subject):
        if failing:
            raise OSError(failing.pop())
        yield Measurement(value=0.5)

    verdicts = [
        run_checks(gate_in(tmp_path), limits_of(), checks=[check_of(run)])[0].verdict
        for _ in range(2)
    ]
    assert verdicts == [Verdict.ERROR, Verdict.PASS]


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        only_run(tmp_path),
        pytest.raises(M3CompressError, match="another run is at work"),
        only_run(tmp_path),
    ):
        pass
    with pytest.raises(ZeroDivisionError), only_run(tmp_path):
        raise ZeroDivisionError
    with only_run(tmp_path):
        pass


def test_a_process_that_is_killed_lets_go_of_its_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from m3compress.validate.run import only_run\n"
        "with only_run(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        with pytest.raises(M3CompressError, match="another run"), only_run(tmp_path):
            pass
        process.kill()
    with only_run(tmp_path):
        pass
