"""How near a value is to its limit, as a small drawing in a line of the table."""

from __future__ import annotations

import math

from m3compress.validate.result import CheckResult

_WIDTH, _HEIGHT = 92, 14
#: Where the limit stands; the room beyond it shows what is too large.
_LIMIT = 66.0
_END = 88.0


def gauge_svg(result: CheckResult) -> str:
    """Zero at the left, a tick at the limit, a dot for the value, a bar for its interval.

    Args:
        result: Any.

    Returns:
        An ``<svg>`` element, or "" where there is no number or no limit above zero.
    """
    value, limit = result.measurement.value, result.limit.value
    if value is None or not limit:
        return ""
    low, high = result.measurement.interval or (value, value)
    if not all(math.isfinite(number) for number in (value, low, high)):
        return ""
    at, start, stop = (_place(number / limit) for number in (value, low, high))
    y = _HEIGHT / 2
    beyond = f'<path class="beyond" d="M{_END} {y - 3.5}l4 3.5l-4 3.5z"/>'
    return (
        f'<svg class="gauge {result.verdict}" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f'<line class="track" x1="2" x2="{_END}" y1="{y}" y2="{y}"/>'
        f'<line class="limit" x1="{_LIMIT}" x2="{_LIMIT}" y1="1" y2="{_HEIGHT - 1}"/>'
        f'<line class="interval" x1="{start:.1f}" x2="{stop:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{at:.1f}" cy="{y}" r="3"/>{beyond if stop >= _END else ""}</svg>'
    )


def _place(share: float) -> float:
    """Pixel of a fraction of the limit."""
    return min(_END, 2.0 + (_LIMIT - 2.0) * max(0.0, share))
