"""The gate tests itself: what is known to be right must pass, what is known to be wrong must fail.

A control stands in for the exported file. The negative control is the reference itself with its
neighbours in another order; the positive ones are broken in one way each, and each must be failed
by the checks that are there to see it, not by chance.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Final

from m3compress.contract.files import write_atomically
from m3compress.contract.progress import Progress, silent
from m3compress.distill.share import three_body_share
from m3compress.engines.dynamics.job import Job
from m3compress.models.readers.open import read_model
from m3compress.validate.controls.broken import Pressed, RedrawnTriplets, Reordered, ScaledForces
from m3compress.validate.gate import quiet, require_ours, validate
from m3compress.validate.report.write import require_writable
from m3compress.validate.result import CheckResult, Verdict
from m3compress.validate.run import CHECKS, claim_workplace, never
from m3compress.validate.setup.profiles import Profile
from m3compress.validate.setup.settings import Settings
from m3compress.validate.setup.subject import SubjectSpec, TrainedSpec

#: What a check says that could be computed.
_DECIDED = frozenset({Verdict.PASS, Verdict.FAIL})
#: Prefix of the checks that look at radial distribution functions and nothing else.
_RDF = "md.rdf"


def _unchanged(reference: TrainedSpec) -> SubjectSpec:
    return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A candidate whose verdict is known beforehand; see ``StandIn`` in ``setup/context.py``.

    Attributes:
        name: Its name.
        description: What is done to the reference.
        spoil: Does it, given the reference in the precision of a file.
        heat: Factor on the temperature of its runs.
        seen_by: Checks of which each must fail; none for the negative control, which must pass.
        seen_in_npt: More of these, in profiles with dynamics at constant pressure.
        of_block: Whether only the three-body block is spoiled: where it does nothing, there is
            nothing to see.
    """

    name: str
    description: str
    spoil: Callable[[TrainedSpec], SubjectSpec] = _unchanged
    heat: float = 1.0
    seen_by: tuple[str, ...] = ()
    seen_in_npt: tuple[str, ...] = ()
    of_block: bool = False

    def within(self, profile: Profile) -> Control:
        """The same, with all checks of a profile that must see it."""
        more = self.seen_in_npt if profile.npt_duration > 0 else ()
        return replace(self, seen_by=(*self.seen_by, *more), seen_in_npt=()) if more else self

    def candidate(self, reference: TrainedSpec) -> SubjectSpec:
        """What stands in for the exported file."""
        return self.spoil(replace(reference, name=self.name, precision="float32"))

    def alter(self, job: Job) -> Job:
        """A run of the candidate, as hot as it is to be."""
        return replace(job, temperature=job.temperature * self.heat)


NEGATIVE: Final = Control(
    name="itself", description="the reference itself, neighbours in another order", spoil=Reordered
)
POSITIVE: Final = (
    Control(
        name="weak-forces",
        description="forces × 0.95",
        spoil=lambda reference: ScaledForces(reference, 0.95),
        seen_by=("grad.forces", "parity.force-scale"),
    ),
    Control(
        name="too-hot",
        description="molecular dynamics 15 % too hot",
        heat=1.15,
        seen_by=("md.temperature",),
    ),
    Control(
        name="squeezed",
        # Quartz loses 4 % of its volume, and of one as stiff as rutile, 1 % can be seen. Tension
        # of that size would tear soft ones.
        description="crystals too small, by a pressure of 2 GPa",
        spoil=lambda reference: Pressed(reference, 2.0),
        seen_by=("parity.stress",),
        seen_in_npt=("md.npt-volume",),
    ),
    Control(
        name="removed",
        description="three-body block removed",
        spoil=lambda reference: replace(reference, form="removed"),
        seen_by=("parity.force-rmse", "smooth.angle"),
        of_block=True,
    ),
    Control(
        name="pruned",
        description="half of the triplets dropped, drawn anew whenever one comes or goes",
        spoil=lambda reference: RedrawnTriplets(replace(reference, form="pruned=0.5")),
        seen_by=("smooth.cutoff-energy",),
        of_block=True,
    ),
    Control(
        name="misrouted",
        description="triplets routed to the wrong bonds",
        spoil=lambda reference: replace(reference, form="misrouted"),
        seen_by=("inv.permutation",),
        of_block=True,
    ),
)
CONTROLS: Final = (NEGATIVE, *POSITIVE)


def _matters() -> str | None:
    """Of a model whose block is known to matter."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the gate said of a control.

    Attributes:
        control: The control.
        seed: Seed of the run.
        verdict: Verdict of the gate; ``skipped`` if none was to be expected.
        failed: Ids of all checks that failed.
        as_expected: Whether the gate did what it must; None if nothing was to be expected.
        missed_by_rdf: Whether the radial distribution functions alone saw nothing; None if they
            were not computed, because others had seen the control before.
        skipped: Why nothing was to be expected, if so.
    """

    control: Control
    seed: int
    verdict: Verdict
    failed: tuple[str, ...]
    as_expected: bool | None
    missed_by_rdf: bool | None
    skipped: str | None = None


def judge_control(
    control: Control,
    seed: int,
    verdict: Verdict,
    results: Sequence[CheckResult],
    harmless: Callable[[], str | None] = _matters,
) -> Outcome:
    """Whether the gate treated a control as it must.

    Args:
        control: The control.
        seed: Seed of the run.
        verdict: Verdict of its report.
        results: Its results.
        harmless: See :func:`unseen`.
    """
    own = [result for result in results if result.subject == "artefact"]
    failed = _failed(own)
    distributions = [r for r in own if r.id.startswith(_RDF) and r.verdict is not Verdict.SKIPPED]
    if control.seen_by:
        right = verdict is Verdict.FAIL and set(control.seen_by) <= set(failed)
    else:
        right = verdict is Verdict.PASS
    skipped = unseen(control, results, harmless)
    return Outcome(
        control=control,
        seed=seed,
        verdict=verdict if skipped is None else Verdict.SKIPPED,
        failed=failed,
        as_expected=right if skipped is None else None,
        missed_by_rdf=not _failed(distributions) if distributions else None,
        skipped=skipped,
    )


def _failed(results: Sequence[CheckResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.id for r in results if r.verdict is Verdict.FAIL))


def seen(control: Control, results: Sequence[CheckResult]) -> str | None:
    """Why a gate need not go on: a check that failed fails the gate, whatever the others find.

    Args:
        control: The control.
        results: What was found so far.

    Returns:
        The reason once every check that must see the control has; None before, and always for the
        negative control.
    """
    failed = _failed([result for result in results if result.subject == "artefact"])
    if not control.seen_by or not set(control.seen_by) <= set(failed):
        return None
    return f"the control has been seen by {', '.join(control.seen_by)}"


def unseen(
    control: Control, results: Sequence[CheckResult], harmless: Callable[[], str | None]
) -> str | None:
    """Why a control need not be seen: what it spoils does nothing in this model.

    The checks that are named for it have the first word: one that fails has seen it, and one that
    could not be computed excuses nothing.

    Args:
        control: The control.
        results: What was found so far.
        harmless: What the model's three-body block is worth, in words, if it is harmless; None if
            the block matters. Asked only where it decides.

    Returns:
        The reason once every check that must see the control was computed, and some saw nothing.
    """
    if not control.of_block:
        return None
    own = [r for r in results if r.subject == "artefact" and r.id in control.seen_by]
    blind = sorted(set(control.seen_by) - set(_failed(own)))
    computed = {r.id for r in own} == set(control.seen_by)
    if not computed or not blind or any(r.verdict not in _DECIDED for r in own):
        return None
    share = harmless()
    if share is None:
        return None
    return f"{share}, so that {', '.join(blind)} cannot see what is done to it"


def worth_nothing(settings: Settings) -> str | None:
    """What the three-body block of the trained model is worth, if it can go unnoticed; else None.

    Raises:
        M3CompressError: If the model cannot be read.
    """
    share = three_body_share(
        read_model(settings.model, convention=settings.convention, labels=settings.labels)
    )
    return share.text if share.harmless else None


def _settled(
    control: Control, harmless: Callable[[], str | None], results: Sequence[CheckResult]
) -> str | None:
    return seen(control, results) or unseen(control, results, harmless)


def run_controls(
    settings: Settings,
    folder: Path,
    *,
    controls: Sequence[Control] = CONTROLS,
    whole: bool = False,
    resume: bool = False,
    force: bool = False,
    progress: Progress = silent,
    announce: Callable[[str], None] = quiet,
) -> tuple[Outcome, ...]:
    """Put every control through the gate. They share what is known of the reference.

    Args:
        settings: As for the artefact that the controls stand in for.
        folder: Where each control gets a folder with its reports.
        controls: Which controls.
        whole: Run all checks on all controls, to learn who else sees them; else a control is done
            once it is seen, which decides.
        resume: Go on with the runs in ``folder``; a control that is not there is begun.
        force: Start all of them again.
        progress: Told how far the current control is.
        announce: Told which control comes next.

    Raises:
        M3CompressError: If a control cannot run.
    """
    if (folder / "results").exists():
        require_ours(folder)
    require_writable(folder)
    if force and not resume:
        (folder / "run.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "results", ignore_errors=True)
    claim_workplace(folder, settings.fingerprint(), resume=(folder / "run.json").is_file())
    outcomes = []
    harmless = cache(partial(worth_nothing, settings))
    for control in (one.within(settings.read_profile()) for one in controls):
        announce(f"control {control.name}: {control.description}")
        place = folder / control.name
        report = validate(
            replace(settings, control=control),
            place,
            resume=resume and (place / "work" / "run.json").is_file(),
            force=force,
            progress=progress,
            trajectories=folder / "trajectories",
            # Those that must see it first: they settle the verdict.
            checks=CHECKS if whole else sorted(CHECKS, key=lambda c: c.id not in control.seen_by),
            enough=never if whole else partial(_settled, control, harmless),
        )
        outcomes.append(
            judge_control(control, settings.seed, report.verdict, report.results, harmless)
        )
    document = json.dumps(to_json(tuple(outcomes)), indent=1, ensure_ascii=False)
    write_atomically(folder / "selfcheck.json", document.encode())
    return tuple(outcomes)


def to_json(outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    """Plain values, one per control."""
    return [
        {
            "control": outcome.control.name,
            "description": outcome.control.description,
            "must": "fail" if outcome.control.seen_by else "pass",
            "verdict": str(outcome.verdict),
            "as_expected": outcome.as_expected,
            "skipped": outcome.skipped,
            "failed": list(outcome.failed),
            "missed_by_rdf": outcome.missed_by_rdf,
            "seed": outcome.seed,
        }
        for outcome in outcomes
    ]
