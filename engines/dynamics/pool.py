"""Run jobs in this process or side by side, one thread each, and read what they left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ase import Atoms

from m3compress.contract.evaluation import Evaluator, EvaluatorSpec
from m3compress.contract.progress import Progress
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.processes import worker_processes
from m3compress.engines.dynamics.run import (
    claim_folder,
    outcome,
    read_frames,
    run_job,
    steps_done,
)

_POLL = 0.5  # s


@dataclass(frozen=True)
class Run:
    """A job that has come to its end.

    Attributes:
        job: What was run.
        folder: Where it is.
        frames: Kept frames; the momenta are in units of ASE, ``info`` holds ``time_fs``,
            ``potential_energy`` and ``kinetic_energy`` (eV).
        broken: Why it stopped before its end, or None.
    """

    job: Job
    folder: Path
    frames: list[Atoms]
    broken: str | None


def run_here(job: Job, root: Path, evaluator: Evaluator | None = None) -> Run:
    """Run one job in this process and return it; a finished one is only read.

    Args:
        job: What to run.
        root: Folder of all jobs.
        evaluator: What ``job.evaluator`` is, if it is open already.

    Raises:
        M3CompressError: If the evaluator cannot be opened, or the folder cannot be written.
    """
    folder = claim_folder(job, root)
    if not is_finished(job, folder):
        run_job(job, root, job.evaluator.open() if evaluator is None else evaluator)
    return Run(job, folder, read_frames(folder), outcome(folder))


def run_jobs(jobs: Sequence[Job], root: Path, n_workers: int, progress: Progress) -> list[Run]:
    """Run all jobs and return them in the same order; finished ones are only read.

    A job whose process dies is broken, and the others go on.

    Args:
        jobs: What to run.
        root: Folder of all of them.
        n_workers: Processes side by side.
        progress: Told which part of all steps is done.

    Raises:
        M3CompressError: If a folder cannot be written.
    """
    folders = [claim_folder(job, root) for job in jobs]
    waiting = [
        (job, folder)
        for job, folder in zip(jobs, folders, strict=True)
        if not is_finished(job, folder)
    ]
    failed: dict[str, str] = {}
    if waiting:
        # The longest first, so that no core waits at the end.
        waiting.sort(key=lambda pair: -pair[0].total_steps * len(pair[0].structure))
        failed = _run_in_processes(waiting, root, n_workers, progress)
    return [
        Run(job, folder, read_frames(folder), outcome(folder) or failed.get(job.name))
        for job, folder in zip(jobs, folders, strict=True)
    ]


def is_finished(job: Job, folder: Path) -> bool:
    """Whether a job has come to its end, or broke on the way."""
    return outcome(folder) is not None or steps_done(folder) >= job.total_steps


def _run_in_processes(
    waiting: Sequence[tuple[Job, Path]], root: Path, n_workers: int, progress: Progress
) -> dict[str, str]:
    total = sum(job.total_steps for job, _ in waiting)
    with worker_processes(min(n_workers, len(waiting))) as executor:
        futures = {executor.submit(_work, job, root): job for job, _ in waiting}
        while not all(future.done() for future in futures):
            progress("molecular dynamics", sum(_ticks(folder) for _, folder in waiting) / total)
            wait(futures, timeout=_POLL)
        return dict(_failures(futures))


def _failures(futures: dict[Future[None], Job]) -> Iterable[tuple[str, str]]:
    for future, job in futures.items():
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            yield job.name, "its process died; run again with --resume"
        elif error is not None:
            yield job.name, f"{type(error).__name__}: {error}"


@cache
def _open(spec: EvaluatorSpec) -> Evaluator:
    return spec.open()


def _work(job: Job, root: Path) -> None:
    evaluator = _open(job.evaluator.with_threads(1))
    folder = job.folder(root)
    last = 0.0

    def tick(step: int) -> None:
        nonlocal last
        if time.monotonic() - last > _POLL:
            last = time.monotonic()
            (folder / "step").write_text(str(step))

    run_job(job, root, evaluator, tick)


def _ticks(folder: Path) -> int:
    try:
        return max(steps_done(folder), int((folder / "step").read_text()))
    except (OSError, ValueError):
        return steps_done(folder)
