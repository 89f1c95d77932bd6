"""Plots as SVG text: a few lines with axes, coloured by the style sheet of the page.

Drawn by hand, because colours must follow the page (light, dark, print) and a report holds dozens:
an SVG of matplotlib is ten times as large and has its colours built in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from m3compress.analysis.curves import Curve
from m3compress.analysis.svg.axes import Axes, grid, span, text, wraps
from m3compress.contract.arrays import FloatArray

#: About the size at which the page shows it, so that labels are as large as its small print.
_WIDTH, _HEIGHT = 370, 236
_DIFFERENCE_HEIGHT = 84
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 10, 18, 38
#: Room for a second line of the label of the ordinate.
_LINE = 12
_MAX_POINTS = 1_500
#: Classes of the style sheet by label; further labels share the others in turn.
_CLASSES = {"artefact": "a", "reference": "r", "difference": "d"}
_OTHERS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
#: What covers what: the thin line of the artefact lies on the broad one of the reference.
_DEPTH = {"reference": 0, "artefact": 2}


def figure_svg(curves: Sequence[Curve]) -> str:
    """One plot of curves that share their axes; a panel of differences below, where there is one.

    Args:
        curves: At least one, with the labels of axes of the first.

    Returns:
        An ``<svg>`` element.
    """
    drawn = [_thinned(curve) for curve in curves]
    differences = _differences(drawn)
    height = _HEIGHT + (_DIFFERENCE_HEIGHT if differences else 0)
    x_range = span([np.array(curve.x) for curve in drawn], margin=_x_margin(drawn))
    y_label = drawn[0].y_label
    left = _LEFT + (_LINE if wraps(y_label, _HEIGHT - _BOTTOM - _TOP) else 0)
    right = _WIDTH - _RIGHT
    upper = Axes(x_range, span(_ordinates(drawn)), left, right, _TOP, _HEIGHT - _BOTTOM)
    parts = [grid(upper, y_label, x_ticks=not differences)]
    if _is_parity(drawn):
        parts.append(_diagonal(upper))
    parts.append(_layers(drawn, upper))
    if differences:
        y_range = span([*_ordinates(differences), np.zeros(1)], margin=0.1)
        lower = Axes(x_range, y_range, left, right, _HEIGHT - _BOTTOM + 20, height - _BOTTOM)
        parts.append(grid(lower, _difference_label(y_label), x_ticks=True, n_ticks=3))
        parts.append(_layers(differences, lower))
    parts.append(text((left + right) / 2, height - 7, drawn[0].x_label))
    name = escape(f"{drawn[0].figure}, {drawn[0].structure}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{name}">'
        f"{''.join(parts)}</svg>"
    )


def legend(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """Class and label of every line, for the page to write beside the plot."""
    found = {curve.label: css_class(curve.label, i) for i, curve in enumerate(curves)}
    listed = [(name, label) for label, name in found.items()]
    if len(listed) > len(_OTHERS):
        listed = [*listed[: len(_OTHERS)], ("more", f"and {len(found) - len(_OTHERS)} more")]
    if any(curve.low and curve.high for curve in curves):
        listed.append(("r swatch", "95 %"))
    return listed


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


def _is_parity(curves: Sequence[Curve]) -> bool:
    """Whether points would lie on the diagonal if artefact and reference agreed."""
    first = curves[0]
    compared = "reference" in first.x_label and "artefact" in first.y_label
    return compared and first.style == "scatter"


def _x_margin(curves: Sequence[Curve]) -> float:
    """Points need room at the edges, lines do not."""
    single = all(len(curve.x) < 2 for curve in curves)
    return 0.04 if single or any(curve.style == "scatter" for curve in curves) else 0.0


def _ordinates(curves: Iterable[Curve]) -> list[FloatArray]:
    return [np.array(v, dtype=float) for c in curves for v in (c.y, c.low, c.high) if v]


def _differences(curves: Sequence[Curve]) -> list[Curve]:
    """Artefact − reference, where both are on the same abscissae, or the points off a diagonal."""
    if _is_parity(curves):
        return [_minus(curve, np.array(curve.x)) for curve in curves]
    by_label = {curve.label: curve for curve in curves}
    a, r = by_label.get("artefact"), by_label.get("reference")
    if a is None or r is None or a.x != r.x or a.style == "scatter" or len(curves) > 2:
        return []
    found = _minus(a, np.array(r.y)).model_copy(update={"label": "difference"})
    if not (r.low and r.high):
        return [found]
    # The band of the reference about its own mean: what differs by chance.
    around = _minus(r, np.array(r.y))
    return [found.model_copy(update={"low": around.low, "high": around.high})]


def _minus(curve: Curve, base: FloatArray) -> Curve:
    changed = {
        name: tuple((np.array(getattr(curve, name)) - base).tolist())
        for name in ("y", "low", "high")
        if getattr(curve, name)
    }
    return curve.model_copy(update=changed)


def _difference_label(label: str) -> str:
    """``Δ`` with the unit of the quantity, or with the quantity where it has none."""
    unit = re.search(r" \(([^()]+)\)$", label)
    return f"Δ ({unit[1]})" if unit else f"Δ {label}"


def _diagonal(axes: Axes) -> str:
    low, high = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
    if low >= high:
        return ""
    ends = np.array([low, high])
    return f'<polyline class="diagonal" points="{_points(axes.px(ends), axes.py(ends))}"/>'


def _layers(curves: Sequence[Curve], axes: Axes) -> str:
    """Bands lowest, then lines, the artefact on top."""
    order = sorted(range(len(curves)), key=lambda i: _DEPTH.get(curves[i].label, 1))
    bands = [_band(curves[i], axes, _band_class(curves[i].label, i)) for i in order]
    lines = [_line(curves[i], axes, css_class(curves[i].label, i)) for i in order]
    if not any(lines):
        middle = ((axes.left + axes.right) / 2, (axes.top + axes.bottom) / 2)
        return text(*middle, "no finite numbers")
    return "".join([*bands, *lines])


def _band_class(label: str, index: int) -> str:
    """The band of a difference is that of the reference, about zero."""
    return "r" if label == "difference" else css_class(label, index)


def _band(curve: Curve, axes: Axes, name: str) -> str:
    if not (curve.low and curve.high):
        return ""
    x = axes.px(np.array(curve.x))
    low, high = axes.py(np.array(curve.low)), axes.py(np.array(curve.high))
    return "".join(
        f'<polygon class="band {name}" points="'
        + _points(
            np.concatenate([x[part], x[part][::-1]]),
            np.concatenate([low[part], high[part][::-1]]),
        )
        + '"/>'
        for part in _runs(x, low, high)
    )


def _line(curve: Curve, axes: Axes, name: str) -> str:
    """Dots, or a line with gaps where a number is missing."""
    x, y = axes.px(np.array(curve.x)), axes.py(np.array(curve.y))
    runs = _runs(x, y)
    if curve.style == "scatter":
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.8"/>'
            for part in runs
            for a, b in zip(x[part], y[part], strict=True)
        )
        return f'<g class="dots {name}">{dots}</g>' if dots else ""
    parts = []
    for part in runs:
        if part.stop - part.start == 1:
            place = f'cx="{x[part][0]:.1f}" cy="{y[part][0]:.1f}"'
            parts.append(f'<g class="dots {name}"><circle {place} r="2.5"/></g>')
        else:
            shape = _points(x[part], y[part])
            parts.append(f'<polyline class="line {name}" points="{shape}"/>')
    return "".join(parts)


def _runs(*values: FloatArray) -> list[slice]:
    """Stretches in which all values are finite."""
    good = np.logical_and.reduce([np.isfinite(v) for v in values])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _points(x: FloatArray, y: FloatArray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
