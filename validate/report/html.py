"""One self-contained page: no request leaves it, and it can be mailed, printed and read offline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from m3compress.validate.report.document import Report
from m3compress.validate.report.plot import figure_svg, legend
from m3compress.validate.report.words import (
    headline,
    number,
    remark,
    title,
    value_of,
    verdict_word,
    worst_first,
)
from m3compress.validate.result import CheckResult, Curve, Verdict

#: Sections of plots: prefix of the figure, heading, what to look for.
_SECTIONS = (
    (
        "rdf",
        "Radial distribution functions",
        "Means of all replicas; in the band 95 % of repeated references. Below: the difference.",
    ),
    ("adf", "Bond angles", "What a three-body block shapes first."),
    ("vdos", "Vibrations", "Power spectrum of the velocities."),
    ("nve", "Energy conservation", "A slope is a drift; the width is set by the time step."),
    ("npt", "Volume", "At constant pressure."),
    ("angle", "Angle scans", "Total energy as one angle is bent."),
    ("bond", "Bond scans", "Total energy as one bond is stretched."),
    ("dimer", "Dimers", "Energy of two atoms alone."),
    ("parity", "Parity", "Every point is a force component or an energy."),
    ("eos", "Equations of state", "Energy against volume."),
    ("msd", "Mean squared displacement", "A crystal levels off."),
)


@dataclass(frozen=True, slots=True)
class _Figure:
    """A plot ready for the page: SVG and text made here, and safe."""

    caption: str
    svg: str
    legend: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Section:
    heading: str
    explanation: str
    figures: list[_Figure]


@dataclass(frozen=True, slots=True)
class _Row:
    verdict: str
    name: str
    measures: str
    value: str
    limit: str
    floor: str
    unit: str
    remark: str
    source: str
    command: str
    decides: bool


def html_page(report: Report) -> str:
    """The page.

    Args:
        report: A finished run.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("m3compress.validate.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        word=verdict_word(report.verdict),
        headline=headline(report),
        sections=list(_sections(report)),
        rows=[_row(result) for result in worst_first(report.results)],
        svg=Markup,  # only what plot.py made goes through it
        style=Markup(folder.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(folder.joinpath("page.js").read_text(encoding="utf-8")),
        minutes=f"{report.seconds / 60:.1f}",
    )


def _sections(report: Report) -> Iterable[_Section]:
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for result in report.results:
        if result.subject == "artefact":
            for curve in result.measurement.curves:
                grouped.setdefault((curve.figure, curve.structure), []).append(curve)
    for prefix, heading, explanation in _SECTIONS:
        figures = [
            _Figure(f"{figure.partition(':')[2]} · {structure}", figure_svg(curves), legend(curves))
            for (figure, structure), curves in grouped.items()
            if figure.partition(":")[0] == prefix
        ]
        if figures:
            yield _Section(heading, explanation, figures)


def _row(result: CheckResult) -> _Row:
    measured = result.measurement
    return _Row(
        verdict=str(result.verdict),
        name=title(result),
        measures=result.measures,
        value=value_of(result),
        limit=number(result.limit.value) + ("*" if result.limit.overridden else ""),
        floor=number(measured.floor),
        unit=result.limit.unit,
        remark=remark(result),
        source=result.limit.source,
        command=(measured.command or "") if result.verdict is not Verdict.PASS else "",
        decides=result.decides,
    )
