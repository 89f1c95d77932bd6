"""What a check is, and the one way to make one: say what is measured, and on what.

=======================  =========================================================================
:func:`on_structures`    the worst of a function over structures of the zoo (or others)
:func:`on_predictions`   a statistic over the predictions of all structures, against the reference
:func:`on_crystals`      a property of every crystal, against the reference
:func:`on_samples`       what every sample's molecular dynamics shows
:func:`on_file`          faults of the exported file
=======================  =========================================================================

A check that is none of these is a :class:`Check` with a function of its own. Its limit is a row of
``setup/limits.toml``, and its place in the run is that in the ``CHECKS`` of its module.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluator
from m3compress.errors import M3CompressError
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.attempt import Failure, attempt, gather
from m3compress.validate.checks.predictions import Compared, compared
from m3compress.validate.checks.runs import Runs, runs_of
from m3compress.validate.checks.selection import Entry, Found, worst_of
from m3compress.validate.result import VALUES, Measurement, Tier
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

T = TypeVar("T")

#: What the identifiers of each tier begin with.
_TIERS: Final = {
    "artefact": Tier.ARTEFACT,
    "inv": Tier.INVARIANTS,
    "grad": Tier.DERIVATIVES,
    "smooth": Tier.DERIVATIVES,
    "parity": Tier.PARITY,
    "prop": Tier.PROPERTIES,
    "md": Tier.DYNAMICS,
    "student": Tier.STUDENT,
    "perf": Tier.PERFORMANCE,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is measured.

    Attributes:
        id: Tier and name, ``md.rdf``; its limit stands under this name in ``limits.toml``.
        measures: What it measures, in one sentence.
        run: Yields one measurement per structure (or a single one).
        on_reference: The same check on the reference, where that tells something; its results
            inform and decide nothing.

    Raises:
        M3CompressError: If the identifier begins with no tier.
    """

    id: str
    measures: str
    run: Callable[[Context, Subject], Iterable[Measurement]]
    on_reference: bool = False

    def __post_init__(self) -> None:
        if self.id.partition(".")[0] not in _TIERS:
            raise M3CompressError(
                f"the check {self.id!r} belongs to no tier",
                hint=f"its name begins with one of {', '.join(f'{name}.' for name in _TIERS)}",
            )

    @property
    def tier(self) -> Tier:
        """Its family."""
        return _TIERS[self.id.partition(".")[0]]


@dataclass(frozen=True, slots=True)
class Case(Generic[Entry]):
    """One structure that a check measures on.

    Attributes:
        context: The gate.
        subject: Who is measured.
        entry: The structure, with a name.
        number: Its place among the structures of the check.
    """

    context: Context
    subject: Subject
    entry: Entry
    number: int

    def rng(self) -> np.random.Generator:
        """Random numbers of this structure, the same whatever was measured before."""
        return np.random.default_rng([self.context.seed, self.number])


def on_structures(
    name: str,
    measures: str,
    measure: Callable[[Case[Entry]], Found | None],
    *,
    among: Callable[[Context, Subject], Iterable[Entry]],
    absent: str = "there is no small structure",
    unless: Callable[[Context, Subject], str | None] | None = None,
    tolerance: Callable[[Context, Sequence[Entry]], float] | None = None,
    on_reference: bool = False,
) -> Check:
    """A check that reports the worst of its structures, with the values of all as evidence.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        measure: What it finds on one structure; None if it does not apply there.
        among: The structures, for instance a ``partial`` of
            :func:`~m3compress.validate.checks.selection.select`.
        absent: Why nothing was measured, if it applied to no structure.
        unless: Why nothing can be measured at all, if so.
        tolerance: What rounding may do to these structures, in whose units values are given; see
            :mod:`m3compress.validate.checks.rounding`.
        on_reference: Whether to measure the reference, too.
    """

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        reason = None if unless is None else unless(context, subject)
        if reason is not None:
            yield Measurement(skipped=reason)
            return

        entries = tuple(among(context, subject))
        tolerated = tolerance(context, entries) if tolerance and entries else None

        def measure_one(entry: Entry, number: int) -> Found | None:
            found = measure(Case(context, subject, entry, number))
            return found.over(tolerated) if found and tolerated else found

        yield from worst_of(entries, measure_one, absent=absent)

    return Check(name, measures, run, on_reference)


def counting(check: Check, count: Callable[[Context, Container[str]], Mapping[str, Any]]) -> Check:
    """The same check, with what it covered as further evidence.

    Args:
        check: One of :func:`on_structures`.
        count: Called with the names of the structures on which something was measured.
    """

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        for found in check.run(context, subject):
            if found.value is None:
                yield found
            else:
                covered = count(context, found.evidence[VALUES])
                yield found.model_copy(update={"evidence": {**found.evidence, **covered}})

    return replace(check, run=run)


def on_predictions(
    name: str, measures: str, statistic: Callable[[Compared], Found | None], *, absent: str = ""
) -> Check:
    """A check of all structures together; those that cannot be evaluated are errors beside it.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        statistic: Of what candidate and reference predict; None if there is no such thing.
        absent: Why there is none.
    """

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        both = compared(context, subject)
        for structure, reason in both.errors.items():
            yield Measurement(structure=structure, error=reason)
        if not both.names:
            if not both.errors:
                yield Measurement(skipped="there is no periodic crystal to compare on")
            return
        found = statistic(both)
        if found is None:
            yield Measurement(skipped=absent)
            return
        counts = {"n_structures": len(both.names), "n_atoms": len(both.owners)}
        yield Measurement(
            value=found.value, evidence={**counts, **found.evidence}, curves=found.curves
        )

    return Check(name, measures, run)


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """A property of one crystal by both subjects.

    Attributes:
        name: Name of the crystal.
        base: The crystal as given, unrelaxed.
        ours: The candidate's.
        theirs: The reference's, or the teacher's of a student.
    """

    name: str
    base: Atoms
    ours: T
    theirs: T


def on_crystals(
    name: str,
    measures: str,
    judge: Callable[[Pair[T]], Measurement],
    *,
    compute: Callable[[Context, Evaluator, Named], T],
    group: str,
) -> Check:
    """A check with one measurement per crystal, made where the profile asks for its group.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        judge: Compares the property of both subjects.
        compute: The property of a crystal.
        group: Name of the property among those of a profile.
    """

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        if group not in context.profile.properties:
            yield Measurement(skipped=f"the profile {context.profile.name} does without {group}")
            return
        crystals = context.crystals[: context.profile.n_crystals]
        if not crystals:
            yield Measurement(skipped="there is no crystal to compare on")
        for crystal in crystals:
            ours = attempt(compute, context, subject, crystal)
            theirs = attempt(compute, context, context.standard, crystal)
            if isinstance(ours, Failure) or isinstance(theirs, Failure):
                yield _without_both(crystal.name, candidate=ours, reference=theirs)
            else:
                yield judge(Pair(crystal.name, crystal.atoms, ours, theirs))

    return Check(name, measures, run)


def _without_both(name: str, **sides: object) -> Measurement:
    """What it means that one of the two failed, or both."""
    failed = [f"{who}: {it.reason}" for who, it in sides.items() if isinstance(it, Failure)]
    if len(failed) == 1:
        return Measurement(structure=name, error=failed[0])
    reason = f"neither candidate nor reference has it; the {failed[1]}"
    return Measurement(structure=name, skipped=reason)


def on_samples(
    name: str,
    measures: str,
    measure: Callable[[Context, Runs], Measurement | Iterable[Measurement]],
) -> Check:
    """A check that measures every sample by itself; what fails on one is its error alone.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        measure: What it finds in the runs of one sample.
    """

    def measure_one(context: Context, runs: Runs) -> Iterator[Measurement]:
        found = measure(context, runs)
        yield from [found] if isinstance(found, Measurement) else found

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        del subject
        for runs in runs_of(context):
            found, failure = gather(measure_one, context, runs)
            yield from found
            if failure is not None:
                yield Measurement(structure=runs.sample.name, error=failure.reason)

    return Check(name, measures, run)


def on_file(name: str, measures: str, find: Callable[[Context, Path], Measurement]) -> Check:
    """A check of the exported file: skipped for other candidates; an unreadable one is a problem.

    Args:
        name: Identifier of the check.
        measures: What it measures.
        find: What it finds in the file, most often with :func:`count_problems`.
    """

    def run(context: Context, subject: Subject) -> Iterator[Measurement]:
        del subject
        if context.candidate.kind != "artefact":
            yield Measurement(skipped="the candidate is not a file")
            return
        try:
            yield find(context, Path(context.candidate.path))
        except (M3CompressError, OSError) as error:
            yield count_problems([str(error)])

    return Check(name, measures, run)


def count_problems(problems: list[str], **evidence: Any) -> Measurement:
    """How many problems there are, and which."""
    return Measurement(value=float(len(problems)), evidence={"problems": problems, **evidence})
