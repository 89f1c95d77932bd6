"""The first screen of a report: how far its verdict reaches, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from m3compress.validate.report.document import Coverage, Dynamics, Report, StudentInfo
from m3compress.validate.report.overrides import loosened, overrides_of
from m3compress.validate.result import Verdict

_MOST_NAMED: Final = 4  # checks in one sentence
_NOT_FOR: Final = (
    "other elements, temperatures, densities and closer atoms; it was not compared with DFT"
)
#: Checks that tell the errors of a student, and of what.
_ERRORS: Final = {
    "student.force": "forces",
    "student.energy-offset": "energies",
    "student.energy-spread": "energies without their offset",
    "student.stress": "stress",
}
_OWN_ERRORS: Final = {
    f"student.own-{name.partition('.')[2]}": what for name, what in _ERRORS.items()
}


def scope(report: Report) -> str:
    """What the verdict holds for, in one sentence.

    A model that knows 89 elements and moved the atoms of one crystal is certified for no more.
    """
    word = "certified" if report.verdict is Verdict.PASS else "compared"
    changed = loosened(report)
    if changed:
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        named = ", ".join(changed[:_MOST_NAMED])
        word += f" against limits that a user loosened ({named}{more})"
    found = report.coverage
    if found is None:
        return f"{word}: this report does not say on what"
    numbers = f"numbers on {found.elements_compared} of {found.elements_declared} elements"
    student = report.student
    copies = "" if student is None else f"; as a student of {student.teacher}, in its domain alone"
    return f"{word}: {numbers}; {_moved(found)}{copies}"


def _moved(found: Coverage) -> str:
    formulas = ", ".join(dict.fromkeys(one.formula for one in found.dynamics))
    if not formulas:
        return "no dynamics"
    only = "" if found.elements_in_dynamics == found.elements_declared else " only"
    return f"dynamics of {formulas}{only}"


def facts(report: Report) -> list[tuple[str, str]]:
    """Names and texts of what the verdict rests on, as far as the report knows them."""
    found, reference = report.coverage, report.reference
    convention = reference.convention
    if convention and reference.decided_by:
        convention += f", by {reference.decided_by}"
    rows = [
        *(_of_student(report, report.student) if report.student else ()),
        ("compared", _compared(found) if found else ""),
        ("dynamics", "; ".join(_ran(one) for one in found.dynamics) if found else ""),
        ("convention", convention),
        ("engine", report.artefact.engine if report.artefact else ""),
        ("changed", "; ".join(str(one) for one in overrides_of(report))),
    ]
    return [(name, text) for name, text in rows if text]


def _of_student(report: Report, found: StudentInfo) -> list[tuple[str, str]]:
    warm = "" if found.temperatures is None else "{:g}–{:g} K, ".format(*found.temperatures)
    closest = ", ".join(f"{pair} {length:.2f}" for pair, length in found.shortest.items())
    domain = "{}; {}{:.3g}–{:.3g} g/cm³".format(" ".join(found.elements), warm, *found.densities)
    return [
        ("teacher", f"{found.teacher}, sha256 {found.teacher_sha256[:12]}…"),
        ("domain", f"{domain}; atoms no closer than {closest} Å"),
        ("errors", "; ".join(_errors(report))),
        ("not for", _NOT_FOR),
    ]


def _errors(report: Report) -> Iterator[str]:
    """What the student was found to differ by from its teacher: the worst of all structures."""
    for names, where in ((_ERRORS, "teacher's"), (_OWN_ERRORS, "own")):
        told = []
        for name in names:
            own = [one for one in report.results if one.id == name]
            values = [v for one in own if (v := one.measurement.value) is not None]
            if values:
                told.append(f"{names[name]} {max(values):.3g} {own[0].limit.unit}")
        if told:
            yield f"on its {where} trajectories: {', '.join(told)}"


def _compared(found: Coverage) -> str:
    return (
        f"{found.elements_compared} of {found.elements_declared} elements, "
        f"{found.pairs_compared:,} of {found.pairs_possible:,} pairs of neighbours, "
        f"cells of up to {found.largest_cell:,} atoms"
    )


def _ran(one: Dynamics) -> str:
    return (
        f"{one.formula}, {one.n_atoms} atoms, {one.n_replicas} × {one.duration:g} ps "
        f"at {one.temperature:g} K"
    )
