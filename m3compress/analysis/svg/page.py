"""Self-contained pages: no request leaves them, and they can be mailed, printed and read offline.

Templates find ``style``, and the macro ``gallery`` of figures in ``figures.html``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

from m3compress.analysis.curves import Curve
from m3compress.analysis.svg.plot import figure_svg, legend

_HERE: Final = "m3compress.analysis.svg"
_FIGURES: Final = "figures.html"


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot ready for the page.

    Attributes:
        caption: Plain text.
        svg: Made by :func:`~m3compress.analysis.svg.plot.figure_svg`, and safe.
        legend: Class of the style sheet and label of every line.
    """

    caption: str
    svg: str
    legend: list[tuple[str, str]]

    @classmethod
    def of(cls, caption: str, curves: Sequence[Curve]) -> Self:
        """The plot of curves that share their axes."""
        return cls(caption, figure_svg(curves), legend(curves))


def render(package: str, template: str, **values: Any) -> str:
    """A page from its template.

    Args:
        package: That holds the template.
        template: Name of the file.
        values: What the template names; text is escaped.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    # Templates trust our own files and the drawings of this package, nothing else.
    environment = Environment(
        loader=DictLoader({_FIGURES: _text(_HERE, _FIGURES)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.from_string(_text(package, template))
    return page.render(style=_text(_HERE, "page.css"), **values)


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
