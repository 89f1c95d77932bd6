"""A verdict never reads as if it held for more than what was compared."""

from __future__ import annotations

from collections.abc import Callable

from m3compress.validate.report.document import Coverage, Dynamics, Report, StudentInfo
from m3compress.validate.report.html import html_page
from m3compress.validate.report.scope import facts, scope
from m3compress.validate.report.summary import summary_markdown
from m3compress.validate.report.terminal import render_report
from m3compress.validate.result import CheckResult

Make = Callable[..., CheckResult]
MakeReport = Callable[..., Report]

QUARTZ = Dynamics(formula="SiO2", n_atoms=72, n_replicas=3, duration=0.6, temperature=300.0)
UNIVERSAL = Coverage(
    elements_compared=89,
    elements_declared=89,
    elements_in_dynamics=2,
    pairs_compared=950,
    pairs_possible=4005,
    largest_cell=2160,
    dynamics=(QUARTZ,),
)


def test_dynamics_of_one_crystal_certify_no_89_elements(
    make_result: Make, make_report: MakeReport
) -> None:
    report = make_report(make_result("a.b", 0.5), coverage=UNIVERSAL)
    said = "certified: numbers on 89 of 89 elements; dynamics of SiO2 only"
    assert scope(report) == said
    for text in (render_report(report, 80), html_page(report), summary_markdown(report)):
        assert said in " ".join(text.split())
    told = dict(facts(report))
    assert told["compared"] == (
        "89 of 89 elements, 950 of 4,005 pairs of neighbours, cells of up to 2,160 atoms"
    )
    assert told["dynamics"] == "SiO2, 72 atoms, 3 × 0.6 ps at 300 K"
    assert told["convention"] == "matgl-4.1, by measurement: it leaves the smallest forces"
    assert told["engine"] == "ONNX Runtime 1.20.1, cpu"
    assert "changed" not in told


def test_what_was_not_compared_is_told(make_result: Make, make_report: MakeReport) -> None:
    some = UNIVERSAL.model_copy(update={"elements_compared": 14, "dynamics": ()})
    passed = make_report(make_result("a.b", 0.5), coverage=some)
    assert scope(passed) == "certified: numbers on 14 of 89 elements; no dynamics"
    failed = make_report(make_result("a.b", 2.0), coverage=some)
    assert scope(failed) == "compared: numbers on 14 of 89 elements; no dynamics"
    assert "dynamics" not in dict(facts(failed))


def test_an_older_report_says_that_it_does_not_know(
    make_result: Make, make_report: MakeReport
) -> None:
    report = make_report(make_result("a.b", 0.5), coverage=None)
    assert scope(report) == "certified: this report does not say on what"
    assert "compared" not in dict(facts(report))


def test_loosened_limits_stand_in_the_sentence(make_result: Make, make_report: MakeReport) -> None:
    few = [make_result(f"a.b{i}", 0.5, 3.0, shipped=1.0) for i in range(2)]
    assert "certified against limits that a user loosened (a.b0, a.b1):" in scope(make_report(*few))
    many = [make_result(f"a.b{i}", 0.5, 3.0, shipped=1.0) for i in range(9)]
    assert "(a.b0, a.b1, a.b2, a.b3 and 5 more)" in scope(make_report(*many))
    tight = make_result("a.b", 0.5, 0.6, shipped=1.0)
    assert scope(make_report(tight)).startswith("certified: ")


STUDENT = StudentInfo(
    teacher="builtin",
    teacher_sha256="0123456789abcdef",
    elements=("O", "Si"),
    temperatures=(300.0, 900.0),
    shortest={"O-O": 2.01, "O-Si": 1.4},
    densities=(2.42, 2.9),
)


def test_a_student_is_certified_in_its_domain_alone(
    make_result: Make, make_report: MakeReport
) -> None:
    results = [
        make_result("student.force", 4.1, limit=8.0),
        make_result("student.stress", 0.07),
        make_result("student.own-force", 5.25, limit=10.0),
    ]
    report = make_report(*results, coverage=UNIVERSAL, student=STUDENT)
    assert scope(report).endswith("; as a student of builtin, in its domain alone")
    told = dict(facts(report))
    assert told["teacher"] == "builtin, sha256 0123456789ab…"
    domain = "O Si; 300–900 K, 2.42–2.9 g/cm³; atoms no closer than O-O 2.01, O-Si 1.40 Å"
    assert told["domain"] == domain
    assert "trajectories: forces 4.1 eV, stress 0.07 eV; on its own" in told["errors"]
    assert "own trajectories: forces 5.25 eV" in told["errors"]
    assert "not compared with DFT" in told["not for"]
    for text in (render_report(report, 80), html_page(report), summary_markdown(report)):
        assert "2.42–2.9 g/cm³" in " ".join(text.split())
