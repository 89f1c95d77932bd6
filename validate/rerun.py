"""``python -m m3compress.validate.rerun FOLDER/job.json``: run one job of a gate again.

One that has not come to its end goes on where it stopped. One that has, or broke, is repeated from
its start in a folder ``again`` beside its note: what the gate saw stays as it is.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path

from m3compress.contract.progress import silent
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run, is_finished, run_jobs
from m3compress.engines.dynamics.run import JOB
from m3compress.errors import M3CompressError
from m3compress.validate.controls.broken import read_spec


def command_of(run: Run) -> str:
    """Shell command that runs a job of the gate again."""
    return f"python -m m3compress.validate.rerun {shlex.quote(str(run.folder / JOB))}"


def repeat(note: Path) -> Run:
    """Run the job of a note to its end.

    Raises:
        M3CompressError: If there is no such note, or the job cannot be run.
    """
    try:
        document = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise M3CompressError(
            f"{note} cannot be read as the note of a run: {error}",
            hint=f"give the {JOB} in the folder of a run, below work/trajectories of a report",
        ) from error
    job = Job.from_json(document, read_spec)
    root = note.parent.parent
    if is_finished(job, note.parent):
        root = note.parent / "again"
        if is_finished(job, job.folder(root)):
            shutil.rmtree(root)
    (run,) = run_jobs([job], root, 1, silent)
    return run


def main() -> int:
    """Repeat the run whose note is named on the command line; 1 if it broke, 2 for an error."""
    parser = argparse.ArgumentParser(description="Run one job of a gate again.")
    parser.add_argument("note", type=Path, help=f"the {JOB} in its folder")
    try:
        run = repeat(parser.parse_args().note)
    except M3CompressError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{len(run.frames)} frames in {run.folder}; broken: {run.broken}\n")
    return 0 if run.broken is None else 1


if __name__ == "__main__":
    sys.exit(main())
