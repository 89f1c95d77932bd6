"""The page: complete, quiet, and deaf to what it is told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from m3compress.validate.report.document import Report
from m3compress.validate.report.gauge import gauge_svg
from m3compress.validate.report.html import html_page
from m3compress.validate.result import CheckResult, Curve

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}")
#: What loads something or leads elsewhere.
LOADING = ("src", "href", "action", "data", "srcset", "poster", "background", "formaction")


class Page(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def test_page_shows_all(full_report: Report) -> None:
    text = html_page(full_report)
    page = Page(text)
    assert page.count("figure") == 2
    assert text.count('<svg viewBox="0 0 370') == 2
    assert page.count("tr") - page.count("thead") == len(full_report.results)
    for result in full_report.results:
        assert result.id in page.text
    for said in (
        "FAILED",
        "2026-01-31 12:00 UTC",
        "1.6 min",
        "other temperatures",
        "about 4 times as many ps or replicas",
    ):
        assert said in page.text
    assert "python -m something job.json" in page.text


def test_what_did_not_pass_is_open_and_the_rest_folded(full_report: Report) -> None:
    text = html_page(full_report)
    shown = text[text.index("Not passed") : text.index("Passed and skipped")]
    found = re.findall(r'<tr data-verdict="(\w+)"( class="informs")?>', shown)
    assert [verdict for verdict, _ in found] == ["error", "fail", "inconclusive", "fail", "fail"]
    assert [bool(informs) for _, informs in found] == [False] * 3 + [True] * 2
    folded = text[text.index("<details>") : text.rindex("</details>")]
    assert set(re.findall(r'<tr data-verdict="(\w+)"', folded)) == {"pass", "skipped"}
    assert "md.temperature comes nearest, at 33 % of its limit" in folded


def test_a_page_where_all_passed(make_result: Make, make_report: MakeReport) -> None:
    text = html_page(make_report(make_result("a.b", 0.5), artefact=None, created="yesterday"))
    assert "Not passed" not in text
    assert "Not checked" not in text
    assert "All checks" in text
    assert "yesterday" in text


def test_page_loads_nothing(full_report: Report) -> None:
    text = html_page(full_report)
    for name, attributes in Page(text).elements:
        assert name not in ("link", "img", "iframe", "object", "embed", "base", "image", "use")
        assert not attributes.keys() & set(LOADING)
    assert not re.search(r"https?://|@import|url\(|src=|fetch\(|XMLHttpRequest|import\(", text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_becomes_markup(hostile: str, make_result: Make, make_report: MakeReport) -> None:
    curve = Curve(
        figure=f"rdf:{hostile}", label=hostile, structure=hostile, x_label=hostile,
        y_label=hostile, x=(0.0, 1.0), y=(0.0, 1.0),
    )  # fmt: skip
    told = {"structure": hostile, "unit": hostile, "curves": (curve,), "command": hostile}
    plain = make_report(make_result("a.b", 2.0), make_result("a.c", 0.5))
    wild = make_report(
        make_result("a.b", 2.0, **told),
        make_result("a.c", 0.5, **told),
        make_result("a.d", None, error=hostile),
        command=hostile,
        notes=(hostile,),
        not_checked=(hostile,),
        tools={hostile: hostile},
        created=hostile,
    )
    text = html_page(wild)
    page = Page(text)
    assert page.count("script") == Page(html_page(plain)).count("script") == 1
    assert page.count("img") == 0
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert hostile in page.text


def test_no_figure_is_lost(make_result: Make, make_report: MakeReport) -> None:
    names = ("rdf:O-Si", "rdf:total", "phonons:quartz", "eos:quartz", "new:thing", "nameless")
    curves = tuple(
        Curve(
            figure=name, label="artefact", structure="quartz", x_label="x", y_label="y",
            x=(0.0, 1.0), y=(0.0, math.nan),
        )
        for name in names
    )  # fmt: skip
    text = html_page(make_report(make_result("a.b", 0.5, curves=curves)))
    captions = [part.strip() for part in re.findall("<figcaption>([^<]*)", text)]
    assert captions == [
        "total · quartz",
        "O-Si · quartz",
        "equation of state · quartz",
        "phonons · quartz",
        "new · thing · quartz",
        "nameless · quartz",
    ]


def test_gauge(make_result: Make) -> None:
    def places(result: CheckResult) -> list[float]:
        return [float(x) for x in re.findall(r'cx="([\d.]+)"', gauge_svg(result))]

    assert places(make_result("a.b", 0.0)) == [2.0]
    assert places(make_result("a.b", 1.0)) == [66.0]
    assert places(make_result("a.b", 1e30)) == [88.0]
    assert "beyond" in gauge_svg(make_result("a.b", 0.5, interval=(0.1, 9.0)))
    assert "beyond" not in gauge_svg(make_result("a.b", 0.5, interval=(0.1, 1.0)))
    for value, limit in ((math.nan, 1.0), (None, 1.0), (0.5, None), (0.5, 0.0)):
        assert gauge_svg(make_result("a.b", value, limit)) == ""


def test_a_changed_limit_is_marked_and_told(
    make_changed: Callable[[], Report], make_result: Make, make_report: MakeReport
) -> None:
    text = Page(html_page(make_changed())).text
    assert "md.rdf 9 eV instead of 1, looser; md.adf 0.1 eV instead of 1, tighter" in text
    assert "--duration 0.1 ps instead of 0.6 ps" in text
    assert "9* eV" in text
    small = html_page(make_report(make_result("a.b", 1e-6, 1e-5, shipped=1e-4)))
    assert "10⁻⁵*" in small
