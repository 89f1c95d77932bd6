"""What a run compared, of all that a model claims to know: taken from what its checks found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from m3compress.contract.neighbors import find_edges
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.predictions import structures_of
from m3compress.validate.report.document import Coverage, Dynamics
from m3compress.validate.result import VALUES, CheckResult, Tier
from m3compress.validate.setup.context import Context

#: Checks that compare energies and forces, and where in their evidence the structures stand.
_COMPARING: Final = {
    "parity.export-force": VALUES,
    "parity.export-energy": VALUES,
    "parity.force-mae": "by_structure",
}


def coverage_of(context: Context, results: Sequence[CheckResult]) -> Coverage:
    """What the checks of a run compared; what none of them could measure does not count.

    Args:
        context: The run.
        results: What its checks found.
    """
    own = [r for r in results if r.subject == "artefact" and r.measurement.value is not None]
    names = set(_names_compared(own))
    compared = [named for named in structures_of(context) if named.name in names]
    elements = {symbol for named in compared for symbol in named.atoms.symbols}
    cutoff, declared = context.reference_subject.cutoff, len(context.reference_subject.elements)
    pairs = {pair for named in compared for pair in _neighbours(named, cutoff)}
    moved = [sample for sample in context.samples if _ran(sample, own)]
    return Coverage(
        elements_compared=max(len(elements), _told(own, "elements_compared")),
        elements_declared=declared,
        elements_in_dynamics=len({symbol for named in moved for symbol in named.atoms.symbols}),
        pairs_compared=max(len(pairs), _told(own, "pairs_compared")),
        pairs_possible=declared * (declared + 1) // 2,
        largest_cell=max(_told(own, "largest_cell"), *(len(named.atoms) for named in compared), 0),
        dynamics=tuple(_dynamics(context, sample) for sample in moved),
    )


def _names_compared(results: Sequence[CheckResult]) -> Iterator[str]:
    for result in results:
        if result.id in _COMPARING:
            yield from result.measurement.evidence.get(_COMPARING[result.id], ())


def _told(results: Sequence[CheckResult], field: str) -> int:
    """The most that a check of structures of its own says to have compared."""
    return max((int(result.measurement.evidence.get(field, 0)) for result in results), default=0)


def _ran(sample: Named, results: Sequence[CheckResult]) -> bool:
    """Whether a check of the dynamics measured something on a sample, or on a pair in it."""
    names = (r.measurement.structure for r in results if r.tier is Tier.DYNAMICS)
    return any(name == sample.name or name.startswith(f"{sample.name} ") for name in names)


def _neighbours(named: Named, cutoff: float) -> set[frozenset[int]]:
    """Atomic numbers of atoms within the cutoff of one another."""
    edges, _ = find_edges(named.atoms, cutoff)
    numbers = named.atoms.numbers
    pairs = np.unique(np.stack([numbers[edges.centers], numbers[edges.neighbors]]), axis=1)
    return {frozenset(pair) for pair in pairs.T.tolist()}


def _dynamics(context: Context, sample: Named) -> Dynamics:
    profile = context.profile
    return Dynamics(
        formula=sample.atoms.symbols.formula.reduce()[0].format("reduce"),
        n_atoms=len(sample.atoms),
        n_replicas=profile.n_replicas,
        duration=profile.duration,
        temperature=profile.temperature,
    )
