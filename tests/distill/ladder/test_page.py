"""The page of a ladder: complete, and deaf to what it is told."""

from __future__ import annotations

import re

from m3compress.distill.ladder.page import ladder_page


def test_it_shows_every_student_in_the_table_and_in_the_figures(climbed):
    page = ladder_page(climbed)
    for name in ("small*", "clumsy", "large*"):
        assert f"<td>{name}</td>" in page
    assert "faster and nearer: small, large" in page
    assert "not for that temperature: small" in page
    assert page.count("<svg") == page.count("<figure>") == 3
    # Of the three, one has no error of its own, and one beats the other: a line of one point.
    shapes = [
        (figure.count("<circle"), figure.count("<polyline"))
        for figure in page.split("<figure>")[1:]
    ]
    assert shapes == [(3, 1), (2 + 1, 0), (3, 1)]


def test_it_loads_nothing_and_trusts_no_name(climbed):
    page = ladder_page(climbed)
    assert "<b>teacher" not in page
    assert "&lt;b&gt;teacher" in page
    assert not re.search(r"\b(src|href|url)\b *[=(]", page)
