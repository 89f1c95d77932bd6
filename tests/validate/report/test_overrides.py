"""What a user changed is told, and a loosened limit from a tightened one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from m3compress.validate.report.document import ChangedOption, Report
from m3compress.validate.report.overrides import loosened, overrides_of
from m3compress.validate.result import CheckResult, Limit, Shipped

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]


def limit_of(
    value: float | None, before: float | None, *, mandatory: bool = True, was: bool = True
) -> Limit:
    shipped = Shipped(value=before, mandatory=was)
    return Limit(
        value=value,
        unit="%",
        source="a user",
        mandatory=mandatory,
        overridden=True,
        shipped=shipped,
    )


@pytest.mark.parametrize(
    ("limit", "looser"),
    [
        (limit_of(3.0, 2.0), True),
        (limit_of(None, 2.0), True),
        (limit_of(2.0, 2.0, mandatory=False), True),
        (limit_of(1.0, 2.0, mandatory=False), True),
        (limit_of(0.0, 0.0, mandatory=False), True),
        (limit_of(1.0, 2.0), False),
        # What decided nothing before refuses no less now, whatever it is.
        (limit_of(9.0, None), False),
        (limit_of(9.0, 2.0, was=False), False),
        (limit_of(None, None, was=False), False),
        # Reports of schema version 1 do not say what the limit was.
        (Limit(value=1.0, unit="%", source="a user", overridden=True), True),
        (Limit(value=1.0, unit="%", source="shipped"), False),
    ],
)
def test_loosened_is_what_refuses_less(limit: Limit, *, looser: bool) -> None:
    assert limit.loosened is looser


def test_all_changes_are_told_the_loosened_first(
    make_result: Make, make_report: MakeReport
) -> None:
    report = make_report(
        make_result("a.tight", 0.5, 0.6, shipped=1.0),
        make_result("a.loose", 0.5, 3.0, shipped=1.0, structure="one"),
        make_result("a.loose", 0.5, 3.0, shipped=1.0, structure="two"),
        make_result("a.gone", 0.5, None, shipped=1.0),
        make_result("a.informs", 0.5, 1.0, mandatory=False, shipped=1.0),
        make_result("a.same", 0.5),
        changed_options=(
            ChangedOption(name="n_replicas", value=2, shipped=3),
            ChangedOption(name="timestep", value=1.0, shipped=None),
        ),
    )
    assert [str(one) for one in overrides_of(report)] == [
        "a.loose 3 eV instead of 1, looser",
        "a.gone no limit instead of 1, looser",
        "a.informs 1 eV (informs only) instead of 1, looser",
        "a.tight 0.6 eV instead of 1, tighter",
        "--replicas 2 instead of 3",
        "--timestep 1 fs instead of the usual",
    ]
    assert loosened(report) == ("a.loose", "a.gone", "a.informs")


def test_an_older_report_does_not_tell_what_a_limit_was(
    make_result: Make, make_report: MakeReport
) -> None:
    result = make_result("a.b", 0.5)
    old = result.model_copy(update={"limit": result.limit.model_copy(update={"overridden": True})})
    report = make_report(old)
    assert [str(one) for one in overrides_of(report)] == [
        "a.b 1 eV instead of what is not told, looser"
    ]
