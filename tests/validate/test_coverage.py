"""What counts as compared is what checks have measured, not what they were given."""

from __future__ import annotations

from collections.abc import Callable

from ase import Atoms
from ase.build import bulk

from m3compress.models.structures.frames import Named
from m3compress.validate.coverage import coverage_of
from m3compress.validate.result import CheckResult, Limit, Measurement, Tier, judge
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import TrainedSpec


def result(name: str, tier: Tier = Tier.PARITY, **fields: object) -> CheckResult:
    limit = Limit(value=1.0, unit="eV", source="a test")
    measurement = Measurement.model_validate({"value": 0.0, **fields})
    return CheckResult(
        id=name,
        tier=tier,
        subject="artefact",
        measures="something",
        limit=limit,
        verdict=judge(measurement, limit),
        measurement=measurement,
    )


def test_only_what_was_measured_counts(
    make_context: Callable[..., Context], builtin_spec: TrainedSpec
) -> None:
    silicon, oxygen = bulk("Si"), Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.2]])
    far = Atoms("SiO", positions=[[0, 0, 0], [0, 0, 9.0]])
    zoo = [Named("silicon", silicon), Named("oxygen", oxygen), Named("far", far)]
    sample = Named("quartz", Atoms("Si2O4", cell=(9, 9, 9), pbc=True))
    context = make_context(builtin_spec, zoo=zoo, samples=(sample,))
    nothing = coverage_of(context, [])
    assert (nothing.elements_compared, nothing.pairs_compared, nothing.largest_cell) == (0, 0, 0)
    assert (nothing.elements_declared, nothing.pairs_possible) == (2, 3)
    assert nothing.dynamics == ()
    broken = [
        result("parity.export-force", evidence={"values": {"silicon": 0.0}}),
        result("parity.export-force", structure="oxygen", value=None, error="broke"),
        result("md.temperature", Tier.DYNAMICS, structure="quartz", value=None, error="broke"),
    ]
    found = coverage_of(context, broken)
    assert (found.elements_compared, found.pairs_compared, found.largest_cell) == (1, 1, 2)
    assert found.dynamics == ()
    whole = [
        result("parity.force-mae", evidence={"by_structure": {"oxygen": 0.0, "far": 0.0}}),
        result("parity.export-energy", evidence={"values": {"silicon": "nan"}}),
        result("md.rdf", Tier.DYNAMICS, structure="quartz O-Si"),
    ]
    found = coverage_of(context, whole)
    # Si and O are compared, and never as neighbours.
    assert (found.elements_compared, found.pairs_compared) == (2, 2)
    assert [one.formula for one in found.dynamics] == ["SiO2"]
    assert found.elements_in_dynamics == 2


def test_checks_that_count_are_believed(
    make_context: Callable[..., Context], builtin_spec: TrainedSpec
) -> None:
    context = make_context(builtin_spec, zoo=[Named("silicon", bulk("Si"))])
    found = coverage_of(
        context,
        [
            result("parity.export-force", evidence={"values": {"silicon": 0.0}}),
            result("parity.elements", evidence={"elements_compared": 2, "elements_declared": 2}),
            result("parity.pairs", evidence={"pairs_compared": 3, "pairs_possible": 3}),
            result("parity.large-cells", evidence={"largest_cell": 2268}),
            result(
                "parity.large-cells", evidence={"largest_cell": 9999}, value=None, error="broke"
            ),
        ],
    )
    assert (found.elements_compared, found.pairs_compared) == (2, 3)
    assert found.largest_cell == 2268


def test_the_reference_alone_is_not_compared(
    make_context: Callable[..., Context], builtin_spec: TrainedSpec
) -> None:
    context = make_context(builtin_spec, zoo=[Named("silicon", bulk("Si"))])
    own = result("parity.export-force", evidence={"values": {"silicon": 0.0}})
    other = own.model_copy(update={"subject": "reference"})
    assert coverage_of(context, [other]).elements_compared == 0
    assert coverage_of(context, [own]).elements_compared == 1
