"""Axes of a plot: scales, round ticks, and labels that are short and never repeat each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from m3compress.contract.arrays import FloatArray

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Longest label that fits beside the axis.
_MAX_CHARACTERS = 7
#: Mean width of a character of a label in pixels.
_CHARACTER = 5.6


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle with scales.

    Attributes:
        x: Range of the data.
        y: Range of the data.
        left: Edge in pixels; so the others.
        right: Edge.
        top: Edge.
        bottom: Edge.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    right: float
    top: float
    bottom: float

    def px(self, x: FloatArray) -> FloatArray:
        """Abscissae in pixels."""
        low, high = self.x
        return np.asarray(self.left + (x - low) / (high - low) * (self.right - self.left))

    def py(self, y: FloatArray) -> FloatArray:
        """Ordinates in pixels."""
        low, high = self.y
        return np.asarray(self.bottom - (y - low) / (high - low) * (self.bottom - self.top))


def span(values: Sequence[FloatArray], margin: float = 0.06) -> tuple[float, float]:
    """Range of the finite values with a margin; never empty.

    Args:
        values: Arrays of any length.
        margin: Room at either end as a fraction of the range.
    """
    together = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.array([])
    if not together.size:
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    if high - low < 1e-12 * max(abs(low), abs(high)) or high == low:
        room = 0.05 * max(abs(low), abs(high)) or 1.0
        return low - room, high + room
    room = margin * (high - low)
    return low - room, high + room


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between two values: about as many as wanted, and at least two."""
    power = math.floor(math.log10(high - low)) + 1
    found: list[float] = []
    for exponent in range(power, power - 4, -1):
        for factor in (5, 2, 1):
            step = factor * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            # Rounded, since 3 * 0.1 is not 0.3 and would not be written as such.
            found = [round(n * step, 15 - exponent) for n in range(first, last + 1)]
            if len(found) >= max(2, wanted - 1):
                return found
    return found


def tick_labels(values: Sequence[float]) -> tuple[list[str], str]:
    """Labels of ticks, and what all of them share.

    Args:
        values: Ticks, at least two and evenly spaced.

    Returns:
        The labels, each different; and a power of ten or an offset to be written once, or "".
    """
    step = values[1] - values[0]
    largest = max(abs(value) for value in values)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if len(f"{largest:.{decimals}f}") <= _MAX_CHARACTERS and decimals <= 4 and largest < 1e5:
        return [minus(f"{value:.{decimals}f}") for value in values], ""
    if largest / step > 1e4:
        offset = values[0]
        labels, shared = tick_labels([value - offset for value in values])
        return labels, minus(f"{offset:.{decimals}f}") + " + " + (shared or "")
    exponent = math.floor(math.log10(largest))
    labels, _ = tick_labels([value / 10.0**exponent for value in values])
    return labels, "×10" + str(exponent).translate(_SUPERSCRIPTS)


def minus(text: str) -> str:
    """A number with a true minus sign, and zero without one."""
    return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", "−")


def powers(text: str) -> str:
    """``9.4e-07`` as ``9.4×10⁻⁷``."""
    mantissa, sign, exponent = text.partition("e")
    if not sign or not exponent.lstrip("+-").isdigit():
        return minus(text) if text.startswith("-") else text
    raised = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"10{raised}" if mantissa == "1" else f"{minus(mantissa)}×10{raised}"


def grid(axes: Axes, y_label: str, *, x_ticks: bool, n_ticks: int = 5) -> str:
    """Lines and labels of both axes as SVG.

    Args:
        axes: The rectangle.
        y_label: Quantity and unit.
        x_ticks: Whether to label the abscissae, too.
        n_ticks: About how many ordinates.
    """
    values = ticks(*axes.y, n_ticks)
    labels, shared = tick_labels(values)
    parts = []
    for value, label in zip(values, labels, strict=True):
        y = float(axes.py(np.array(value)))
        name = "grid zero" if value == 0 else "grid"
        parts.append(_line(name, (axes.left, axes.right), (y, y)))
        parts.append(text(axes.left - 5, y + 4, label, anchor="end"))
    if shared:
        parts.append(text(axes.left, axes.top - 4, shared, anchor="start"))
    parts.append(_abscissae(axes, labelled=x_ticks))
    return "".join([*parts, _upright(y_label, axes)])


def wraps(label: str, length: float) -> bool:
    """Whether a label is too long for one line of so many pixels."""
    return len(label) * _CHARACTER > length


def _upright(label: str, axes: Axes) -> str:
    """The label of the ordinate, in two lines where one is too short."""
    lines = [label]
    if wraps(label, axes.bottom - axes.top) and " " in label:
        spaces = [i for i, sign in enumerate(label) if sign == " "]
        middle = min(spaces, key=lambda i: abs(i - len(label) / 2))
        lines = [label[:middle], label[middle + 1 :]]
    y = (axes.top + axes.bottom) / 2
    return "".join(
        f'<text class="label" transform="rotate(-90 {x} {y:.1f})" x="{x}" y="{y:.1f}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for x, line in zip((11, 23), lines, strict=False)
    )


def _abscissae(axes: Axes, *, labelled: bool) -> str:
    values = ticks(*axes.x, 5)
    labels, shared = tick_labels(values)
    parts = []
    for value, label in zip(values, labels, strict=True):
        x = float(axes.px(np.array(value)))
        parts.append(_line("grid", (x, x), (axes.top, axes.bottom)))
        if labelled:
            # A label at the very edge would be cut off.
            parts.append(text(min(x, axes.right - 4 * len(label) + 10), axes.bottom + 15, label))
    if labelled and shared:
        parts.append(text(axes.right, axes.bottom + 30, shared, anchor="end"))
    return "".join(parts)


def text(x: float, y: float, content: str, *, anchor: str = "middle") -> str:
    """A label as SVG."""
    return (
        f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def _line(name: str, x: tuple[float, float], y: tuple[float, float]) -> str:
    return f'<line class="{name}" x1="{x[0]:.1f}" x2="{x[1]:.1f}" y1="{y[0]:.1f}" y2="{y[1]:.1f}"/>'
