"""The one rule by which measurements are judged."""

from __future__ import annotations

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from m3compress.validate.result import (
    CheckResult,
    Curve,
    Limit,
    Measurement,
    Tier,
    Verdict,
    judge,
    more_sampling,
    upper_end,
)

NAN, INF = math.nan, math.inf


def limit(value=1.0, **fields):
    return Limit(value=value, unit="eV", source="a test", **fields)


@pytest.mark.parametrize(
    ("measurement", "of", "verdict"),
    [
        ({"value": 0.5}, 1.0, Verdict.PASS),
        ({"value": 1.0}, 1.0, Verdict.PASS),
        ({"value": 1.1}, 1.0, Verdict.FAIL),
        ({"value": 0.0}, 0.0, Verdict.PASS),
        ({"value": 1e-300}, 0.0, Verdict.FAIL),
        # The whole interval decides, not its middle.
        ({"value": 0.5, "interval": (0.2, 1.0)}, 1.0, Verdict.PASS),
        ({"value": 0.5, "interval": (0.2, 1.1)}, 1.0, Verdict.INCONCLUSIVE),
        ({"value": 1.5, "interval": (0.9, 2.0)}, 1.0, Verdict.INCONCLUSIVE),
        ({"value": 1.5, "interval": (1.0, 2.0)}, 1.0, Verdict.INCONCLUSIVE),
        ({"value": 1.5, "interval": (1.01, 2.0)}, 1.0, Verdict.FAIL),
        # Nothing that is not a number passes, whatever the limit.
        ({"value": NAN}, 1.0, Verdict.FAIL),
        ({"value": INF}, None, Verdict.FAIL),
        ({"value": 0.5, "interval": (0.2, INF)}, 1.0, Verdict.FAIL),
        ({"value": 0.5, "interval": (NAN, 0.7)}, 1.0, Verdict.FAIL),
        ({"value": NAN, "interval": (0.1, 0.2)}, 1.0, Verdict.FAIL),
        ({}, 1.0, Verdict.FAIL),
        ({}, None, Verdict.FAIL),
        # Without a limit a check informs.
        ({"value": 99.0}, None, Verdict.PASS),
        ({"value": 99.0, "interval": (1.0, 200.0)}, None, Verdict.PASS),
        # Errors come first, then what does not exist.
        ({"error": "no", "skipped": "no", "value": 0.0}, 1.0, Verdict.ERROR),
        ({"error": ""}, 1.0, Verdict.ERROR),
        ({"skipped": "no", "value": 9.0}, 1.0, Verdict.SKIPPED),
    ],
)
def test_the_verdict(measurement, of, verdict):
    assert judge(Measurement(**measurement), limit(of)) is verdict


def result(measurement, of=None, subject="artefact"):
    of = of or limit()
    return CheckResult(
        id="md.rdf",
        tier=Tier.DYNAMICS,
        subject=subject,
        measures="something",
        limit=of,
        verdict=judge(measurement, of),
        measurement=measurement,
    )


def test_only_mandatory_limits_on_the_artefact_decide():
    measured = Measurement(value=0.5)
    assert result(measured).decides
    assert not result(measured, subject="reference").decides
    assert not result(measured, limit(None)).decides
    assert not result(measured, limit(mandatory=False)).decides


def test_severity_orders_the_worst_first():
    assert result(Measurement(error="no")).severity == INF
    assert result(Measurement(value=2.0, interval=(1.0, 3.0))).severity == 3.0
    assert result(Measurement(value=0.5)).severity == 0.5
    assert result(Measurement(value=0.5), limit(0.0)).severity == INF
    assert result(Measurement(value=0.0), limit(0.0)).severity == 0.0
    assert result(Measurement(value=0.5), limit(None)).severity == 0.0
    assert result(Measurement(skipped="no")).severity == 0.0
    assert upper_end(Measurement(value=2.0)) == 2.0
    assert upper_end(Measurement()) is None


@pytest.mark.parametrize(
    ("of", "factor"), [(2.0, None), (0.4, None), (1.5, 4.0), (0.75, 4.0), (1.99, 1.2), (1.0, INF)]
)
def test_how_much_more_sampling_would_decide(of, factor):
    # At four times the sampling the interval is [0.75, 1.5], and its ends are at the limits.
    assert more_sampling(Measurement(value=1.0, interval=(0.5, 2.0)), limit(of)) == factor


def test_what_is_not_a_number_survives_json():
    curve = Curve(
        figure="f", label="l", structure="s", x_label="x", y_label="y", x=(1, 2), y=(NAN, 0.1)
    )
    measured = Measurement(value=NAN, interval=(0.1, INF), curves=(curve,))
    kind = TypeAdapter(tuple[CheckResult, ...])
    text = kind.dump_json((result(measured),))
    assert b"NaN" not in text  # which is no JSON
    (again,) = kind.validate_json(text)
    assert judge(again.measurement, again.limit) is Verdict.FAIL
    assert math.isnan(again.measurement.curves[0].y[0])
    assert again.measurement.curves[0].y[1] == 0.1
    good = result(Measurement(value=1 / 3, interval=(0.1, 0.7)))
    assert kind.validate_json(kind.dump_json((good,))) == (good,)


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError):
        Measurement(valeu=1.0)
