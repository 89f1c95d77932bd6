"""Plots as SVG text: a few lines with axes, coloured by the style sheet of the page.

Drawn by hand, because colours must follow the page (light, dark, print) and a report holds dozens:
an SVG of matplotlib is ten times as large and has its colours built in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from m3compress.validate.result import Curve

Array = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 460, 300
_DIFFERENCE_HEIGHT = 90
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 10, 42
_MAX_POINTS = 1_500
#: Classes of the style sheet by label; further labels share the others in turn.
_CLASSES = {"artefact": "a", "reference": "r", "difference": "d"}
_OTHERS = ("c1", "c2", "c3", "c4")


@dataclass(frozen=True, slots=True)
class _Axes:
    """A rectangle with scales: x and y in data, left … bottom in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: float
    bottom: float

    def px(self, x: Array) -> Array:
        low, high = self.x
        return np.asarray(_LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT))

    def py(self, y: Array) -> Array:
        low, high = self.y
        return np.asarray(self.bottom - (y - low) / (high - low) * (self.bottom - self.top))


def figure_svg(curves: Sequence[Curve]) -> str:
    """One plot of curves that share their axes; a panel of differences below, where there is one.

    Args:
        curves: At least one, with the labels of axes of the first.

    Returns:
        An ``<svg>`` element.
    """
    drawn = [_thinned(curve) for curve in curves]
    difference = _difference(drawn)
    height = _HEIGHT + (_DIFFERENCE_HEIGHT if difference else 0)
    x_range = _span([np.array(curve.x) for curve in drawn], margin=0.0)
    values = [np.array(v) for c in drawn for v in (c.y, c.low, c.high) if v]
    axes = _Axes(x_range, _span(values), _TOP, _HEIGHT - _BOTTOM)
    parts = [_grid(axes, drawn[0].y_label, x_ticks=difference is None)]
    parts += [_draw(curve, axes, index) for index, curve in enumerate(drawn)]
    lowest = axes
    if difference is not None:
        values = [np.array(v) for v in (difference.y, difference.low, difference.high) if v]
        lowest = _Axes(x_range, _span(values), _HEIGHT - _BOTTOM + 14, height - _BOTTOM)
        parts.append(_grid(lowest, "difference", x_ticks=True, n_ticks=3))
        parts.append(_draw(difference, lowest, 0))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, height - 8, drawn[0].x_label))
    name = escape(f"{drawn[0].figure}, {drawn[0].structure}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{name}">'
        f"{''.join(parts)}</svg>"
    )


def legend(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Class and label of every line, for the page to write beside the plot."""
    found = {curve.label: css_class(curve.label, i) for i, curve in enumerate(curves)}
    return [(name, label) for label, name in found.items()]


def css_class(label: str, index: int) -> str:
    """Class of a line in the style sheet."""
    return _CLASSES.get(label, _OTHERS[index % len(_OTHERS)])


def _thinned(curve: Curve) -> Curve:
    """At most so many points that a page with dozens of plots stays small."""
    step = math.ceil(len(curve.x) / _MAX_POINTS)
    if step <= 1:
        return curve
    names = ("x", "y", "low", "high")
    return curve.model_copy(update={name: getattr(curve, name)[::step] for name in names})


def _difference(curves: Sequence[Curve]) -> Curve | None:
    """Artefact − reference with the band of the noise, where both are on the same abscissae."""
    by_label = {curve.label: curve for curve in curves}
    a, r = by_label.get("artefact"), by_label.get("reference")
    if a is None or r is None or a.x != r.x or a.style == "scatter" or len(curves) > 2:
        return None
    base = np.array(r.y)
    band = {}
    if r.low and r.high:
        band = {
            "low": tuple((np.array(r.low) - base).tolist()),
            "high": tuple((np.array(r.high) - base).tolist()),
        }
    rest = tuple((np.array(a.y) - base).tolist())
    return a.model_copy(update={"label": "difference", "y": rest, "low": (), "high": (), **band})


def _span(values: Sequence[Array], margin: float = 0.06) -> tuple[float, float]:
    """Range of the finite values with a margin; never empty."""
    together = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.array([])
    if not together.size:
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * max(1e-6, abs(low)), high + 0.5 * max(1e-6, abs(high))
    room = margin * (high - low)
    return low - room, high + room


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between two values."""
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(axes: _Axes, y_label: str, *, x_ticks: bool, n_ticks: int = 5) -> str:
    right = _WIDTH - _RIGHT
    parts = []
    for value in _ticks(*axes.y, n_ticks):
        y = float(axes.py(np.array(value)))
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.4g}", anchor="end"))
    for value in _ticks(*axes.x, 6):
        x = float(axes.px(np.array(value)))
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{axes.top}" y2="{axes.bottom}"/>'
        )
        if x_ticks:
            parts.append(_text(x, axes.bottom + 15, f"{value:.4g}"))
    middle = (axes.top + axes.bottom) / 2
    parts.append(
        f'<text class="label" transform="rotate(-90 12 {middle:.1f})" x="12" y="{middle:.1f}" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _draw(curve: Curve, axes: _Axes, index: int) -> str:
    name = css_class(curve.label, index)
    x, y = axes.px(np.array(curve.x)), axes.py(np.array(curve.y))
    good = np.isfinite(x) & np.isfinite(y)
    if curve.style == "scatter":
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6"/>'
            for a, b in zip(x[good], y[good], strict=True)
        )
        return f'<g class="dots {name}">{dots}</g>'
    band = ""
    if curve.low and curve.high:
        low, high = axes.py(np.array(curve.low)), axes.py(np.array(curve.high))
        shape = _points(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]]))
        band = f'<polygon class="band {name}" points="{shape}"/>'
    return f'{band}<polyline class="line {name}" points="{_points(x[good], y[good])}"/>'


def _points(x: Array, y: Array) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _text(x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    return (
        f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
