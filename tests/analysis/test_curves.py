"""Lines of a figure share what it says, and hold what they are given."""

from __future__ import annotations

import numpy as np

from m3compress.analysis.curves import Curve, Plot

PLOT = Plot("rdf:Si-O", "SiO2-quartz", "r (Å)", "g(r)")
X, Y = np.array([1.0, 2.0]), np.array([0.1, np.nan])


def test_a_line_says_what_its_figure_says() -> None:
    curve = PLOT.line("artefact", X, Y)
    assert (curve.figure, curve.structure, curve.label) == ("rdf:Si-O", "SiO2-quartz", "artefact")
    assert (curve.x_label, curve.y_label, curve.style) == ("r (Å)", "g(r)", "line")
    assert curve.x == (1.0, 2.0)
    np.testing.assert_array_equal(curve.y, Y)
    assert all(type(number) is float for number in (*curve.x, *curve.y))


def test_points_are_a_line_in_another_style() -> None:
    line, points = PLOT.line("modes", X, X), PLOT.scatter("modes", X, X)
    assert points.style == "scatter"
    assert points.model_copy(update={"style": "line"}) == line
    assert Curve.model_validate_json(points.model_dump_json()) == points


def test_candidate_and_reference_share_their_abscissae() -> None:
    ours, theirs = PLOT.both(X, X, 2 * X)
    assert (ours.label, theirs.label) == ("artefact", "reference")
    assert ours.x == theirs.x == ours.y
    assert theirs.y == (2.0, 4.0)
