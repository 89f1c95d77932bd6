"""``python -m m3compress.validate.rerun FOLDER/job.json``: run one job of a gate again."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from m3compress.contract.progress import silent
from m3compress.engines.dynamics.job import Job
from m3compress.engines.dynamics.pool import Run, run_jobs
from m3compress.engines.dynamics.run import JOB
from m3compress.validate.controls.broken import read_spec


def command_of(run: Run) -> str:
    """Shell command that runs a job of the gate again."""
    return f"python -m m3compress.validate.rerun {shlex.quote(str(run.folder / JOB))}"


def main() -> int:
    """Run the job of the file that is named; it goes on where it stopped."""
    path = Path(sys.argv[1])
    job = Job.from_json(json.loads(path.read_text(encoding="utf-8")), read_spec)
    (run,) = run_jobs([job], path.parent.parent, 1, silent)
    sys.stdout.write(f"{len(run.frames)} frames in {run.folder}; broken: {run.broken}\n")
    return 0 if run.broken is None else 1


if __name__ == "__main__":
    sys.exit(main())
