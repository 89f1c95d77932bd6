"""One rule makes a report's verdict, and what was written is what is read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from m3compress.errors import M3CompressError
from m3compress.validate.report.document import Report, exit_code, read_json, schema
from m3compress.validate.report.words import remark, rounded_up, worst_first
from m3compress.validate.result import CheckResult, Curve, Verdict

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]


def written(report: Report, folder: Path) -> Path:
    path = folder / "report.json"
    path.write_text(report.model_dump_json(indent=1), encoding="utf-8")
    return path


def test_all_that_decides_must_pass(make_result: Make, make_report: MakeReport) -> None:
    good = make_result("a.good", 0.5)
    bad, wide = make_result("a.bad", 2.0), make_result("a.wide", 0.5, interval=(0.1, 2.0))
    broken = make_result("a.broken", None, error="broke")
    absent = make_result("a.absent", None, skipped="no cell")
    assert make_report(good, absent).verdict is Verdict.PASS
    assert make_report(good, bad, wide).verdict is Verdict.FAIL
    assert make_report(good, broken).verdict is Verdict.FAIL
    assert make_report(good, wide).verdict is Verdict.INCONCLUSIVE


def test_what_informs_and_the_reference_decide_nothing(
    make_result: Make, make_report: MakeReport
) -> None:
    good = make_result("a.good", 0.5)
    others = (
        make_result("a.informs", 2.0, mandatory=False),
        make_result("a.unlimited", math.nan, None),
        make_result("a.reference", 2.0, subject="reference"),
        make_result("a.reference", None, subject="reference", error="broke"),
    )
    assert make_report(good, *others).verdict is Verdict.PASS
    passing = (make_result("a.good", 0.5, subject="reference"), make_result("a.free", 0.1, None))
    assert make_report(*passing).verdict is Verdict.FAIL


def test_nothing_measured_fails(make_result: Make, make_report: MakeReport) -> None:
    assert make_report().verdict is Verdict.FAIL
    assert make_report(make_result("a.absent", None, skipped="no")).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("verdict", "strict", "code"),
    [
        (Verdict.PASS, False, 0),
        (Verdict.PASS, True, 0),
        (Verdict.FAIL, False, 1),
        (Verdict.FAIL, True, 1),
        (Verdict.INCONCLUSIVE, False, 3),
        (Verdict.INCONCLUSIVE, True, 1),
        (Verdict.ERROR, False, 1),
        (Verdict.SKIPPED, False, 1),
    ],
)
def test_exit_codes(verdict: Verdict, *, strict: bool, code: int) -> None:
    assert exit_code(verdict, strict=strict) == code


def test_json_round_trip(full_report: Report, tmp_path: Path) -> None:
    assert read_json(written(full_report, tmp_path)) == full_report


def test_numbers_that_are_none_never_pass(
    make_result: Make, make_report: MakeReport, tmp_path: Path
) -> None:
    curve = Curve(
        figure="rdf:all", label="artefact", structure="", x_label="r", y_label="g",
        x=(0.0, 1.0), y=(math.nan, 1.0),
    )  # fmt: skip
    results = [
        make_result("a.nan", math.nan),
        make_result("a.infinite", math.inf),
        make_result("a.interval", 0.5, interval=(0.0, math.nan), curves=(curve,)),
        make_result("a.endless", 0.5, interval=(-math.inf, 0.6)),
        make_result("a.none", None),
    ]
    for result in results:
        report = make_report(make_result("a.good", 0.5), result)
        assert report.verdict is Verdict.FAIL
        path = written(report, tmp_path)
        jsonschema.validate(json.loads(path.read_text()), json.loads(schema()))
        again = read_json(path)
        assert again.verdict is Verdict.FAIL
        assert again.results[1].verdict is Verdict.FAIL
    again = read_json(written(make_report(results[2]), tmp_path))
    assert math.isnan(again.results[0].measurement.curves[0].y[0])
    assert math.isnan(again.results[0].measurement.interval[1])  # type: ignore[index]


def test_a_report_of_an_earlier_profile_is_read(full_report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    document = json.loads(full_report.model_dump_json())
    document["profile"] |= {"budget": 120.0}
    for added_since in ("n_crystals", "n_labels"):
        del document["profile"][added_since]
    path.write_text(json.dumps(document))
    profile = read_json(path).profile
    assert profile == replace(full_report.profile, n_crystals=None, n_labels=None)


def test_a_verdict_that_was_changed_is_seen(
    make_result: Make, make_report: MakeReport, tmp_path: Path
) -> None:
    report = make_report(make_result("a.good", 0.5), make_result("a.bad", 2.0))
    sound = json.loads(report.model_dump_json())
    assert (sound["schema_version"], sound["verdict"]) == (2, "fail")

    def changed(change: Callable[[dict[str, Any]], object]) -> Path:
        document = json.loads(json.dumps(sound))
        change(document)
        path = tmp_path / "report.json"
        path.write_text(json.dumps(document))
        return path

    for what, change in {
        "the whole report is pass": lambda d: d.update(verdict="pass"),
        "the whole report is None": lambda d: d.pop("verdict"),
        "of a.bad is pass": lambda d: d["results"][1].update(verdict="pass"),
        "of a.bad is fail": lambda d: d["results"][1]["limit"].update(value=3.0),
        "of a.good is pass": lambda d: d["results"][0]["measurement"].update(value=1.5),
        "the whole report is fail": lambda d: d["results"].pop(),
    }.items():
        with pytest.raises(M3CompressError, match=f"contradicts itself.*{what}"):
            read_json(changed(change))
    assert read_json(changed(lambda d: d)) == report


def test_reports_of_version_1_are_read(
    make_result: Make, make_report: MakeReport, tmp_path: Path
) -> None:
    report = make_report(make_result("a.loose", 0.5, 9.0, shipped=1.0))
    document = json.loads(report.model_dump_json()) | {"schema_version": 1}
    for added_since in ("verdict", "coverage", "changed_options"):
        del document[added_since]
    del document["reference"]["decided_by"]
    del document["results"][0]["limit"]["shipped"]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    found = read_json(path)
    assert found.verdict is Verdict.PASS
    assert found.schema_version == 2
    assert found.coverage is None
    assert found.results[0].limit.loosened
    document["results"][0]["verdict"] = "fail"
    path.write_text(json.dumps(document))
    with pytest.raises(M3CompressError, match="contradicts itself"):
        read_json(path)


def test_null_in_evidence_stays_what_it_is(
    make_result: Make, make_report: MakeReport, tmp_path: Path
) -> None:
    evidence = {"x": [None, 1], "interval": None, "deep": {"y": [None]}}
    report = make_report(make_result("a.good", 0.5, evidence=evidence))
    assert read_json(written(report, tmp_path)).results[0].measurement.evidence == evidence


def test_what_is_no_report_is_refused(full_report: Report, tmp_path: Path) -> None:
    document = json.loads(full_report.model_dump_json())
    contents = {
        "cannot be read": b"no json",
        "cannot be read as": b"\xff\xfe{}",
        "schema version None": b"[1, 2]",
        "schema version 3": json.dumps(document | {"schema_version": 3}).encode(),
        "is no report: seconds": json.dumps(document | {"seconds": "long"}).encode(),
        "is no report: more": json.dumps(document | {"more": 1}).encode(),
    }
    for message, content in contents.items():
        path = tmp_path / "report.json"
        path.write_bytes(content)
        with pytest.raises(M3CompressError, match=message):
            read_json(path)


def test_a_folder_with_reports_stands_for_its_report(full_report: Report, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(M3CompressError, match=r"no .*\.json, expected a rep") as told:
            read_json(path)
        assert "Errno" not in str(told.value)
    written(full_report, tmp_path)
    assert read_json(tmp_path) == full_report
    (tmp_path / "deep" / "report.json").mkdir(parents=True)
    with pytest.raises(M3CompressError, match="cannot be read as a report: Is a dir") as told:
        read_json(tmp_path / "deep")
    assert "Errno" not in str(told.value)


def test_schema_is_the_committed_one() -> None:
    committed = files("m3compress.validate.report").joinpath("report.schema.json")
    assert committed.read_text(encoding="utf-8") == schema(), (
        'regenerate: python -c "from m3compress.validate.report.document import schema; '
        "print(schema(), end='')\" > validate/report/report.schema.json"
    )


def test_schema_describes_a_report(full_report: Report) -> None:
    document = json.loads(full_report.model_dump_json())
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    validator.check_schema(validator.schema)
    validator.validate(document)
    document["results"][0]["verdict"] = "perhaps"
    assert not validator.is_valid(document)


def test_worst_comes_first(make_result: Make) -> None:
    results = [
        make_result("a.pass", 0.1),
        make_result("a.informs", 9.0, mandatory=False),
        make_result("a.bad", 2.0),
        make_result("a.nan", math.nan),
        make_result("a.worse", 3.0),
        make_result("a.error", None, error="broke"),
    ]
    order = ["a.error", "a.nan", "a.worse", "a.bad", "a.pass", "a.informs"]
    for turned in (results, results[::-1]):
        assert [result.id for result in worst_first(turned)] == order


@pytest.mark.parametrize("value", [1.23, 0.00999, 9.91, 1.0, 3.14159e-9, 123456.0, 1e-300])
def test_a_suggested_limit_is_met(value: float) -> None:
    suggested = float(rounded_up(value))
    assert value <= suggested <= 1.2 * value


def test_remarks(make_result: Make) -> None:
    assert remark(make_result("a.b", 1.23)) == "would pass at --limit a.b=1.3"
    assert remark(make_result("a.b", 2.0, interval=(1.5, 2.61))).endswith("a.b=2.7")
    assert remark(make_result("a.b", math.inf)) == "gave no finite number"
    assert remark(make_result("a.b", None)) == "gave no finite number"
    assert remark(make_result("a.b", 1.23, subject="reference")) == ""
    assert remark(make_result("a.b", 0.5, power=0.25)) == "sees drifts from 0.25"
    assert remark(make_result("a.b", 0.5, interval=(0, 2))) == "about 9 times as many samples"
    decided = remark(make_result("a.b", 1.5, interval=(0, 2), needs="ps or replicas"))
    assert decided == "about 9 times as many ps or replicas"
    assert "no amount" in remark(make_result("a.b", 1.0, interval=(0, 2)))
