"""What a check found, and the one rule by which it is judged.

Every check measures a number that is zero for a perfect model and grows as it gets worse, so that
one rule serves all of them: a measurement passes if the whole of its confidence interval lies at
or below the limit, fails if the whole of it lies above, and is inconclusive in between.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from m3compress.analysis.curves import Curve, Number

Interval = tuple[Number, Number]
#: In the evidence of a check that reports the worst of many structures: its value on each of them.
VALUES: Final = "values"


class Verdict(StrEnum):
    """Outcome of a check, and of a whole report."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    ERROR = "error"


class Tier(StrEnum):
    """Families of checks, in the order of reports: the cheap and the fatal first."""

    ARTEFACT = "artefact"
    INVARIANTS = "invariants"
    DERIVATIVES = "derivatives"
    PARITY = "parity"
    PROPERTIES = "properties"
    DYNAMICS = "dynamics"
    STUDENT = "student"
    PERFORMANCE = "performance"


class Strict(BaseModel):
    """A part of a report: unchangeable, and with no field that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measurement(Strict):
    """What a check measured on one structure, before it is judged.

    Attributes:
        structure: Name of the structure, or empty if the check has none.
        value: The number, zero for a perfect model; None if it could not be measured.
        interval: 95 % confidence interval of ``value``, where it is a statistic.
        floor: Root mean square of the values that noise alone would give a candidate without any
            fault, from the scatter of the runs; in the unit of ``value``, None if it is no
            statistic. A value of this size proves nothing; what is known is in ``interval``.
        skipped: Why nothing was measured (no such thing in this system; not an omission).
        error: What went wrong, if something did.
        needs: What more of would narrow the interval, for instance ``ps or replicas``.
        power: The smallest true value that this much sampling tells from zero in 39 of 40 cases,
            where known. A smaller one may be seen by luck, and an interval may end below it.
        evidence: Numbers and words that explain the value, JSON only.
        curves: Lines for the report.
        command: Shell command that repeats this piece alone, where there is one.
    """

    structure: str = ""
    value: float | None = None
    interval: Interval | None = None
    floor: float | None = None
    skipped: str | None = None
    error: str | None = None
    needs: str | None = None
    power: float | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    command: str | None = None


class Shipped(Strict):
    """What a limit was before a user changed it.

    Attributes:
        value: The limit; None if the check only informed.
        mandatory: Whether a release needed the check to pass.
    """

    value: float | None
    mandatory: bool


class Limit(Strict):
    """The largest acceptable value of a check.

    Attributes:
        value: The limit; None means the check only informs.
        unit: Unit of value and limit.
        source: Where the number comes from: a publication, a file, or ``policy`` (ours).
        mandatory: Whether a release needs the check to pass.
        overridden: Whether a user changed the value, or whether it is mandatory.
        shipped: What it was before; None where nobody changed it, and in reports of schema
            version 1, which do not say it.
    """

    value: float | None
    unit: str
    source: str
    mandatory: bool = True
    overridden: bool = False
    shipped: Shipped | None = None

    @property
    def loosened(self) -> bool:
        """Whether a user made it refuse less; a change from an unknown value counts as such."""
        if not self.overridden:
            return False
        before = self.shipped
        if before is None:
            return True
        if not before.mandatory or before.value is None:
            return False  # it refused nothing
        return not self.mandatory or self.value is None or self.value > before.value


class CheckResult(Strict):
    """One judged measurement: a line of the report.

    Attributes:
        id: Identifier of the check, for instance ``md.rdf``.
        tier: Its family.
        subject: ``artefact`` or ``reference``: whose behaviour was measured.
        measures: What it measures, in one sentence.
        limit: What it was judged by.
        verdict: The outcome.
        measurement: The numbers.
        seconds: Time it took.
    """

    id: str
    tier: Tier
    subject: str
    measures: str
    limit: Limit
    verdict: Verdict
    measurement: Measurement
    seconds: float = 0.0

    @property
    def decides(self) -> bool:
        """Whether the verdict of the report depends on it."""
        return self.limit.mandatory and self.limit.value is not None and self.subject == "artefact"

    @property
    def severity(self) -> float:
        """How bad: value (or the upper end of its interval) over limit; errors are infinite."""
        if self.verdict is Verdict.ERROR:
            return math.inf
        value, limit = upper_end(self.measurement), self.limit.value
        if value is None or limit is None:
            return 0.0
        if limit == 0:
            return math.inf if value > 0 else 0.0
        return value / limit


def more_sampling(measurement: Measurement, limit: Limit) -> float | None:
    """How many times as much sampling would decide an inconclusive measurement.

    The interval narrows as 1/√sampling about a value that stays where it is. None if it is decided,
    infinite if the value is the limit itself.
    """
    if judge(measurement, limit) is not Verdict.INCONCLUSIVE:
        return None
    value, (low, high) = float(measurement.value or 0.0), measurement.interval or (0.0, 0.0)
    margin = float(limit.value or 0.0)
    side, gap = (high - value, margin - value) if value < margin else (value - low, value - margin)
    # Never less than a fifth more: the width of the interval is itself an estimate.
    return max(1.2, (side / gap) ** 2) if gap > 0 else math.inf


def upper_end(measurement: Measurement) -> float | None:
    """Upper end of the confidence interval, or the value where there is none."""
    return measurement.value if measurement.interval is None else measurement.interval[1]


def judge(measurement: Measurement, limit: Limit) -> Verdict:
    """The three-valued verdict of one measurement; a number that is not finite fails.

    A limit of None makes the check informative: it passes whatever finite value it has.
    """
    if measurement.error is not None:
        return Verdict.ERROR
    if measurement.skipped is not None:
        return Verdict.SKIPPED
    if measurement.value is None:
        # A limit without a measurement is a failure, never a silent pass.
        return Verdict.FAIL
    low, high = measurement.interval or (measurement.value, measurement.value)
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(measurement.value)):
        return Verdict.FAIL
    if limit.value is None or high <= limit.value:
        return Verdict.PASS
    return Verdict.FAIL if low > limit.value else Verdict.INCONCLUSIVE
