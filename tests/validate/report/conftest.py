"""A report with every verdict, several tiers and curves, made by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from m3compress.validate.report.document import (
    ArtefactInfo,
    ChangedOption,
    Coverage,
    Dynamics,
    ReferenceInfo,
    Report,
)
from m3compress.validate.result import (
    CheckResult,
    Curve,
    Limit,
    Measurement,
    Shipped,
    Tier,
    judge,
)
from m3compress.validate.setup.profiles import SMOKE

#: ``make_result(id, value, limit=1.0, subject=..., mandatory=..., shipped=limit before a user
#: changed it, **fields of the measurement)``.
ResultMaker = Callable[..., CheckResult]
#: ``make_report(*results, notes=..., ...)``.
ReportMaker = Callable[..., Report]

#: All of a model of two elements.
SILICA = Coverage(
    elements_compared=2,
    elements_declared=2,
    elements_in_dynamics=2,
    pairs_compared=3,
    pairs_possible=3,
    largest_cell=36,
    dynamics=(Dynamics(formula="SiO2", n_atoms=72, n_replicas=3, duration=0.6, temperature=300.0),),
)
_TIERS = {
    "inv": Tier.INVARIANTS,
    "md": Tier.DYNAMICS,
    "grad": Tier.DERIVATIVES,
    "student": Tier.STUDENT,
}


def _result(
    check: str,
    value: float | None,
    limit: float | None = 1.0,
    *,
    subject: str = "artefact",
    mandatory: bool = True,
    unit: str = "eV",
    shipped: float | None = None,
    **fields: object,
) -> CheckResult:
    judged_by = Limit(value=limit, unit=unit, source="a test", mandatory=mandatory)
    if shipped is not None:
        before = Shipped(value=shipped, mandatory=True)
        judged_by = judged_by.model_copy(update={"overridden": True, "shipped": before})
    measurement = Measurement.model_validate({"value": value, **fields})
    return CheckResult(
        id=check,
        tier=_TIERS.get(check.partition(".")[0], Tier.PARITY),
        subject=subject,
        measures=f"what {check} measures",
        limit=judged_by,
        verdict=judge(measurement, judged_by),
        measurement=measurement,
        seconds=0.25,
    )


def _report(*results: CheckResult, **fields: object) -> Report:
    values: dict[str, object] = {
        "created": "2026-01-31T12:00:00+00:00",
        "tools": {"m3compress": "0.1.0", "numpy": "2.0"},
        "machine": {"system": "Linux", "architecture": "x86_64", "processors": "2"},
        "artefact": ArtefactInfo(
            name="silica.m3c.onnx",
            sha256="a" * 64,
            manifest_sha256="b" * 64,
            elements=("O", "Si"),
            three_body="factorized",
            precision="float32",
            engine="ONNX Runtime 1.20.1, cpu",
        ),
        "reference": ReferenceInfo(
            name="builtin",
            sha256="c" * 64,
            convention="matgl-4.1",
            format="matgl",
            decided_by="measurement: it leaves the smallest forces",
        ),
        "profile": SMOKE,
        "coverage": SILICA,
        "seed": 7,
        "command": "m3compress validate silica.m3c.onnx --against builtin",
        "results": results,
        "seconds": 99.0,
    }
    return Report.model_validate(values | fields)


def _curves() -> dict[str, tuple[Curve, ...]]:
    r = np.linspace(0.0, 5.0, 50)
    g = np.exp(-((r - 1.6) ** 2) / 0.1)
    common = {"structure": "quartz", "x": tuple(r.tolist())}
    rdf = [
        Curve(
            figure="rdf:O-Si", label="artefact", x_label="r (Å)", y_label="g(r)",
            y=tuple((g + 0.01).tolist()), **common,
        ),
        Curve(
            figure="rdf:O-Si", label="reference", x_label="r (Å)", y_label="g(r)",
            y=tuple(g.tolist()), low=tuple((g - 0.1).tolist()), high=tuple((g + 0.1).tolist()),
            **common,
        ),
    ]  # fmt: skip
    forces = Curve(
        figure="parity:forces",
        label="Si",
        structure="",
        x_label="force component of the reference (eV/Å)",
        y_label="force component of the artefact (eV/Å)",
        x=(-1.0, 0.0, 1.0),
        y=(-1.000001, 0.0, 1.000002),
        style="scatter",
    )
    return {"rdf": tuple(rdf), "forces": (forces,)}


@pytest.fixture(scope="session")
def make_result() -> ResultMaker:
    """Make a judged result of numbers."""
    return _result


@pytest.fixture(scope="session")
def make_report() -> ReportMaker:
    """Make a report of results."""
    return _report


@pytest.fixture(scope="session")
def make_changed() -> Callable[[], Report]:
    """Make a report of a limit loosened, one tightened, one as it was, and a shorter run."""
    return lambda: _report(
        _result("md.rdf", 0.5, 9.0, shipped=1.0),
        _result("md.adf", 0.5, 0.1, shipped=1.0),
        _result("md.msd", 0.5),
        changed_options=(ChangedOption(name="duration", value=0.1, shipped=0.6),),
    )


@pytest.fixture(scope="session")
def full_report() -> Report:
    """Every verdict, deciding and informing, of the artefact and of the reference; two figures."""
    curves = _curves()
    return _report(
        _result("inv.rotation", 1e-5, 1e-4, structure="alloy", floor=1e-14),
        _result("inv.rotation", 1e-14, 1e-4, structure="alloy", subject="reference"),
        _result("inv.permutation", 0.3, 1e-4, structure="alloy", subject="reference"),
        _result("grad.forces", None, error="ValueError: broke | in [two]"),
        _result("grad.stress", None, skipped="no structure has a volume"),
        _result("parity.force-mae", 0.0123, 0.01, unit="eV/Å", curves=curves["forces"]),
        _result("parity.force-max", 5.0, 1.0, mandatory=False),
        _result(
            "md.rdf", 2.0, 3.0, structure="quartz", interval=(1.0, 4.0), floor=0.5, power=1.5,
            needs="ps or replicas", command="python -m something job.json", unit="% (rdf_error)",
            curves=curves["rdf"],
        ),
        _result("md.temperature", 0.5, 3.0, interval=(0.0, 1.0), power=1.25),
        _result("md.msd", 7.0, None),
        notes=("the reference breaks permutation symmetry",),
        not_checked=("parity.labels: no labelled file was given", "other temperatures"),
    )  # fmt: skip
