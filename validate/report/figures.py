"""Which curves make a figure, and which figures a section of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from m3compress.analysis.curves import Curve
from m3compress.analysis.svg.page import Figure
from m3compress.validate.report.document import Report

#: Heading, explanation, and what the figures of each prefix show; "" where their name says it.
_SECTIONS: Final[tuple[tuple[str, str, dict[str, str]], ...]] = (
    (
        "Radial distribution functions",
        (
            "Means of all replicas. Bin by bin, the mean of another such reference would lie in "
            "the band in 95 % of cases. "
            "Below: artefact − reference, and the same band."
        ),
        {"rdf": ""},
    ),
    (
        "Angles, vibrations, diffusion",
        (
            "Bond angles are what a three-body block shapes first. Vibrations: power spectrum of "
            "the velocities. The mean squared displacement of a crystal levels off."
        ),
        {"adf": "bond angles", "vdos": "vibrations", "msd": "mean squared displacement"},
    ),
    (
        "Energy conservation and volume",
        (
            "A slope of the total energy is a drift; its width is set by the time step. "
            "The volume is at constant pressure."
        ),
        {"nve": "", "npt": ""},
    ),
    (
        "Parity",
        "Every point is an energy or a force component. Below: its distance from the diagonal.",
        {"parity": ""},
    ),
    (
        "Scans",
        (
            "Total energy as one angle is bent or one bond is stretched, and of two atoms alone. "
            "Below: artefact − reference."
        ),
        {"angle": "angle", "bond": "bond", "dimer": "dimer"},
    ),
    (
        "Crystals",
        "Energy against volume, and phonons.",
        {"eos": "equation of state", "phonons": "phonons"},
    ),
)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures under one heading.

    Attributes:
        heading: Of the section.
        explanation: What to look for.
        figures: At least one.
    """

    heading: str
    explanation: str
    figures: list[Figure]


def sections_of(report: Report) -> list[Section]:
    """All figures of the artefact; none is left out, whatever it is called.

    Args:
        report: A finished run.
    """
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for result in report.results:
        if result.subject == "artefact":
            for curve in result.measurement.curves:
                grouped.setdefault((curve.figure, curve.structure), []).append(curve)
    known = {prefix for _, _, prefixes in _SECTIONS for prefix in prefixes}
    other = {_prefix(figure): _prefix(figure) for figure, _ in grouped}
    other = {prefix: name for prefix, name in other.items() if prefix not in known}
    found = []
    for heading, explanation, prefixes in (*_SECTIONS, ("Other", "", other)):
        figures = list(_figures(grouped, prefixes))
        if figures:
            found.append(Section(heading, explanation, figures))
    return found


def _figures(
    grouped: dict[tuple[str, str], list[Curve]], prefixes: dict[str, str]
) -> Iterable[Figure]:
    for prefix, noun in prefixes.items():
        own = [key for key in grouped if _prefix(key[0]) == prefix]
        # The sum of all pairs before the pairs.
        for figure, structure in sorted(own, key=lambda key: not key[0].endswith(":total")):
            curves = grouped[figure, structure]
            caption = _caption((noun, figure.partition(":")[2], structure))
            yield Figure.of(caption, curves)


def _prefix(figure: str) -> str:
    return figure.partition(":")[0]


def _caption(parts: Sequence[str]) -> str:
    """Parts that say something, each once."""
    told = [part for part in dict.fromkeys(parts) if part not in ("", "all")]
    return " · ".join(told)
