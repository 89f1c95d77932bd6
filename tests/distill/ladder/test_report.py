"""Which students are worth their time, and how a ladder is told."""

from __future__ import annotations

import math

from m3compress.distill.ladder.report import HEADINGS, Row, pareto_front, rows_of


def test_the_front_holds_what_no_other_beats():
    points = [(3.0, 1.0), (1.0, 5.0), (2.0, 5.0), (2.0, 2.0), (4.0, 1.0), (0.5, math.nan)]
    assert pareto_front(points) == [1, 3, 0]
    assert pareto_front([]) == pareto_front([(1.0, math.inf)]) == []


def test_the_students_of_a_front_come_the_fastest_first(climbed):
    assert climbed.front == ["small", "large"]
    assert climbed.lost == ["small"]


def test_a_row_for_every_student_and_one_for_the_teacher(climbed):
    rows = rows_of(climbed)
    assert [row.name for row in rows] == ["small*", "clumsy", "large*", "<b>teacher</b>"]
    assert (rows[0].own, rows[0].wrong) == ("", "2 of 2")
    assert (rows[2].own, rows[2].wrong) == ("45.0", "0 of 2")
    assert (rows[1].time, rows[1].faster, rows[1].memory) == ("20", "5.0×", "18.0")
    assert (rows[3].time, rows[3].force) == ("100", "")
    assert len(HEADINGS) == len(Row.__slots__)
