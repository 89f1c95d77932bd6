"""What a user changed of a run, limits and options, as every report says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from m3compress.validate.report.document import ChangedOption, Report
from m3compress.validate.report.words import number
from m3compress.validate.result import Limit, Shipped

Kind = Literal["looser", "tighter", "option"]

#: Option and unit of a field of the profile.
_OPTIONS: Final = {
    "temperature": ("--temperature", " K"),
    "pressure": ("--pressure", " GPa"),
    "timestep": ("--timestep", " fs"),
    "duration": ("--duration", " ps"),
    "n_replicas": ("--replicas", ""),
}


@dataclass(frozen=True, slots=True)
class Override:
    """One thing that is not as the profile has it.

    Attributes:
        name: Id of a check whose limit was changed, or an option.
        kind: Whether a limit refuses less or more than before, or what was changed is an option.
        value: What it is now, with its unit.
        shipped: What it was.
    """

    name: str
    kind: Kind
    value: str
    shipped: str

    def __str__(self) -> str:
        how = "" if self.kind == "option" else f", {self.kind}"
        return f"{self.name} {self.value} instead of {self.shipped}{how}"


def overrides_of(report: Report) -> tuple[Override, ...]:
    """Everything that was changed, the loosened limits first."""
    limits = {
        result.id: _of_limit(result.id, result.limit)
        for result in report.results
        if result.limit.overridden
    }
    looser_first = sorted(limits.values(), key=lambda override: override.kind != "looser")
    return (*looser_first, *(_of_option(option) for option in report.changed_options))


def loosened(report: Report) -> tuple[str, ...]:
    """Ids of the checks that refuse less than they would have."""
    return tuple(one.name for one in overrides_of(report) if one.kind == "looser")


def _of_limit(name: str, limit: Limit) -> Override:
    now = Shipped(value=limit.value, mandatory=limit.mandatory)
    return Override(
        name=name,
        kind="looser" if limit.loosened else "tighter",
        value=_said(now, f" {limit.unit}"),
        shipped="what is not told" if limit.shipped is None else _said(limit.shipped),
    )


def _said(limit: Shipped, unit: str = "") -> str:
    if limit.value is None:
        return "no limit"
    return number(limit.value) + unit + ("" if limit.mandatory else " (informs only)")


def _of_option(changed: ChangedOption) -> Override:
    option, unit = _OPTIONS.get(changed.name, (changed.name, ""))
    value, shipped = (
        "the usual" if one is None else f"{one:g}{unit}" for one in (changed.value, changed.shipped)
    )
    return Override(option, "option", value, shipped)
