"""Plots: round ticks, labels that differ, and no number that SVG cannot read."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3compress.analysis.curves import Curve
from m3compress.analysis.svg.axes import powers, span, tick_labels, ticks
from m3compress.analysis.svg.plot import figure_svg, legend

SVG_NUMBERS = re.compile(r'(?:points|cx|cy|x1|x2|y1|y2|x|y)="([^"]*)"')


def curve(label: str, y: list[float], **fields: object) -> Curve:
    values: dict[str, object] = {
        "figure": "rdf:all", "label": label, "structure": "quartz", "x_label": "r (Å)",
        "y_label": "energy (eV)", "x": tuple(float(i) for i in range(len(y))), "y": tuple(y),
    }  # fmt: skip
    return Curve.model_validate(values | fields)


def drawn(*curves: Curve) -> ET.Element:
    """Parsed, with every number finite."""
    svg = figure_svg(curves)
    for numbers in SVG_NUMBERS.findall(svg):
        assert all(math.isfinite(float(n)) for n in re.split("[ ,]+", numbers) if n)
    return ET.fromstring(svg)


def classes(svg: ET.Element, tag: str) -> list[str]:
    return [node.get("class", "") for node in svg.iter(tag)]


@given(
    st.floats(-1e6, 1e6),
    st.floats(-9, 6).map(lambda exponent: 10.0**exponent),
    st.integers(2, 6),
)
def test_ticks_are_round_and_their_labels_differ(low: float, width: float, wanted: int) -> None:
    if width < 1e-10 * abs(low):
        return
    found = ticks(low, low + width, wanted)
    assert 2 <= len(found) <= 15
    assert min(found) >= low - 1e-6 * width
    assert max(found) <= low + width * (1 + 1e-6)
    labels, shared = tick_labels(found)
    assert len(set(labels)) == len(labels)
    assert max(len(label) for label in labels) <= 8
    assert "-" not in "".join([*labels, shared])


def test_tick_labels() -> None:
    assert tick_labels([-1.0, 0.0, 1.0]) == (["−1", "0", "1"], "")
    assert tick_labels([-0.5, 0.0, 0.5]) == (["−0.5", "0.0", "0.5"], "")
    assert tick_labels([0.0, 2e-6, 4e-6]) == (["0", "2", "4"], "×10⁻⁶")
    assert tick_labels([100_000.0, 300_000.0]) == (["1", "3"], "×10⁵")
    labels, shared = tick_labels([-71.20004, -71.20002, -71.2])
    assert labels == ["0", "2", "4"]
    assert shared == "−71.20004 + ×10⁻⁵"


def test_powers_of_ten() -> None:
    assert powers("9.4e-07") == "9.4×10⁻⁷"
    assert powers("1e-05") == "10⁻⁵"
    assert powers("-2e+06") == "−2×10⁶"
    assert (powers("0.5"), powers("–"), powers("nan"), powers("-3")) == ("0.5", "–", "nan", "−3")


@pytest.mark.parametrize("values", [[], [math.nan], [3.0], [0.0, 0.0], [-71.2] * 3, [1e-300, 0.0]])
def test_a_span_is_never_empty(values: list[float]) -> None:
    low, high = span([np.array(values)])
    assert low < high


def test_two_curves_with_a_band_and_their_difference() -> None:
    reference = curve("reference", [0.0, 1.0, 2.0], low=(-1, 0, 1), high=(1, 2, 3))
    svg = drawn(curve("artefact", [0.0, 1.5, 2.0]), reference)
    # The thin line of the artefact lies on the broad one of the reference.
    assert classes(svg, "polyline") == ["line r", "line a", "line d"]
    assert classes(svg, "polygon") == ["band r", "band r"]
    texts = [node.text for node in svg.iter("text")]
    assert "Δ (eV)" in texts
    assert texts.count("r (Å)") == 1
    assert legend([curve("artefact", [1.0]), reference]) == [
        ("a", "artefact"),
        ("r", "reference"),
        ("r swatch", "95 %"),
    ]


def test_no_difference_on_other_abscissae() -> None:
    svg = drawn(curve("artefact", [0.0, 1.5]), curve("reference", [0.0, 1.0], x=(0.0, 2.0)))
    assert classes(svg, "polyline") == ["line r", "line a"]


@pytest.mark.parametrize("y", [[1.0], [-71.2] * 5, [0.0, 0.0], [1e-300, 2e-300], [1e300, -1e300]])
def test_curves_without_extent(y: list[float]) -> None:
    svg = drawn(curve("artefact", y), curve("reference", y))
    assert len(list(svg.iter("text"))) > 4
    assert list(svg.iter("circle" if len(y) == 1 else "polyline"))


def test_a_missing_number_leaves_a_gap() -> None:
    y = [0.0, 1.0, math.nan, 1.0, 2.0, math.inf, 3.0]
    band = {"low": tuple(v - 1 for v in y), "high": tuple(v + 1 for v in y)}
    svg = drawn(curve("artefact", y, **band))
    assert classes(svg, "polyline") == ["line a", "line a"]
    assert len(list(svg.iter("circle"))) == 1


@pytest.mark.parametrize("y", [[], [math.nan, math.nan]])
def test_nothing_to_draw_is_said(y: list[float]) -> None:
    svg = drawn(curve("artefact", y))
    assert "no finite numbers" in [node.text for node in svg.iter("text")]


def test_parity_shows_the_diagonal_and_what_is_off_it() -> None:
    axes = {
        "x_label": "force component of the reference (eV/Å)",
        "y_label": "force component of the artefact (eV/Å)",
        "style": "scatter",
    }
    svg = drawn(curve("O", [0.0, 1.0], **axes), curve("Si", [0.0, 1.1, math.nan], **axes))
    assert classes(svg, "polyline") == ["diagonal"]
    assert classes(svg, "g") == ["dots c1", "dots c2"] * 2
    assert len(list(svg.iter("circle"))) == 8
    # The long label of the ordinate takes two lines.
    turned = [node.text for node in svg.iter("text") if node.get("transform")]
    assert turned == ["force component of", "the artefact (eV/Å)", "Δ (eV/Å)"]


def test_many_points_and_many_labels_stay_small() -> None:
    svg = figure_svg([curve("artefact", np.sin(np.arange(100_000) / 1e3).tolist())])
    assert len(svg) < 40_000
    keys = legend([curve(f"element {i}", [1.0]) for i in range(89)])
    assert len(keys) == 9
    assert keys[-1] == ("more", "and 81 more")


def test_labels_are_escaped() -> None:
    wild = '<b>"&'
    fields = {"figure": wild, "structure": wild, "x_label": wild, "y_label": wild}
    assert "<b>" not in figure_svg([curve(wild, [1.0, 2.0], **fields)])
