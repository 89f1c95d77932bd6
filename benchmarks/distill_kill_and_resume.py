"""A distillation that is killed and resumed is, to the last bit, one that was not.

Runs `m3compress distill` on one thread once in peace, and once killed (SIGKILL of the main process
alone) in each of its stages, at random moments of them: while labels are made, while the student
is trained, while it runs its own dynamics. After every kill it is resumed at once. What is compared
are the weights of the student, its errors, and what its rounds found.

    python benchmarks/distill_kill_and_resume.py --work DIR
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from ase.build import bulk
from ase.io import write
from machine import command, machine

from m3compress.api import load_potential
from m3compress.distill.work import BUDGET, SETTINGS
from m3compress.models.student_record import record_of

RESULTS = Path(__file__).parent / "results" / "distill_kill_and_resume.json"
TEACHER: Final = "ase:ase.calculators.lj:LennardJones?sigma=2.0&epsilon=0.3&rc=4.0&smooth=true"
STUDENT: Final = 'preset = "fast"\nwidth = 8\nmax_n = 2\nmax_l = 2\n'
WORK: Final = "salt.distill"
_POLL: Final = 0.05  # s


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a distillation.

    Attributes:
        name: Of the stage.
        has_begun: Whether it has, by what lies in the work folder.
        longest: Seconds after its beginning, at most, at which it is killed.
    """

    name: str
    has_begun: Callable[[Path], bool]
    longest: float


STAGES: Final = (
    Stage("labels", lambda work: any((work / "frames").glob("*.extxyz")), 2.0),
    Stage("training", lambda work: (work / "training.pt").exists(), 3.0),
    Stage("on-policy", lambda work: any((work / "own").glob("own-*")), 3.0),
)


def distillation(epochs: int, *, resume: bool) -> list[str]:
    """The command line of one run in a folder."""
    words = ["distill", TEACHER, "--cutoff", "4", "--structures", "salt.xyz", "--threads", "1"]
    words += ["--student", "tiny.toml", "--temperatures", "300", "600", "--minutes", "0.2"]
    words += ["--rounds", "1", "--epochs", str(epochs), "-o", "salt.m3c.safetensors", "--force"]
    return [sys.executable, "-m", "m3compress", *words, *(["--resume"] if resume else [])]


def prepare(folder: Path) -> Path:
    """A folder with structures and student."""
    folder.mkdir(parents=True)
    write(folder / "salt.xyz", bulk("SiO", "rocksalt", a=4.5), format="extxyz")
    (folder / "tiny.toml").write_text(STUDENT, encoding="utf-8")
    return folder


def plan_alike(one: Path, other: Path) -> None:
    """Let another folder begin with what was decided in one.

    How many frames fit in the time is measured, and would differ from run to run.
    """
    (other / WORK).mkdir()
    for name in (SETTINGS, BUDGET):
        shutil.copy(one / WORK / name, other / WORK / name)


def start(folder: Path, epochs: int) -> subprocess.Popen[bytes]:
    """Begin, or go on with what is there."""
    resume = (folder / WORK / BUDGET).is_file()
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            distillation(epochs, resume=resume), cwd=folder, stdout=log, stderr=log
        )


def finish(folder: Path, epochs: int) -> int:
    """Run to the end; the exit code."""
    return start(folder, epochs).wait()


def kill_in(stage: Stage, folder: Path, epochs: int, rng: random.Random) -> float | None:
    """Run until some moment of a stage, and kill; None if it ended before that.

    Returns:
        Seconds after the beginning of the stage.
    """
    process = start(folder, epochs)
    while not stage.has_begun(folder / WORK):
        if process.poll() is not None:
            return None
        time.sleep(_POLL)
    after = rng.uniform(0.0, stage.longest)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()  # and nothing else: what it started must end by itself
        process.wait()
        return after
    return None


def differences(one: Path, other: Path) -> list[str]:
    """What differs between the students of two folders."""
    mine, theirs = (load_potential(folder / "salt.m3c.safetensors") for folder in (one, other))
    weights = theirs.network.state_dict()
    found = [
        name
        for name, value in mine.network.state_dict().items()
        if not torch.equal(value, weights[name])
    ]
    records: list[dict[str, Any]] = [
        record_of(potential).model_dump(mode="json") for potential in (mine, theirs)
    ]
    for record in records:
        del record["recipe"]["seconds"]
    return [*found, *(name for name in records[0] if records[0][name] != records[1][name])]


def main() -> None:
    """Run both, compare, and write the result; exit code 1 if they differ or a kill came late."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder that does not exist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    peaceful, killed = (prepare(options.work / name) for name in ("uninterrupted", "killed"))
    codes = [finish(peaceful, options.epochs)]
    plan_alike(peaceful, killed)
    moments = {stage.name: kill_in(stage, killed, options.epochs, rng) for stage in STAGES}
    codes.append(finish(killed, options.epochs))
    differing = differences(peaceful, killed) if codes == [0, 0] else ["no student"]
    document = {
        "command": command(),
        "machine": machine(),
        "killed_seconds_after_the_beginning_of": moments,
        "exit_codes": codes,
        "differing": differing,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(json.dumps(document, indent=1) + "\n")
    sys.exit(bool(differing) or None in moments.values())


if __name__ == "__main__":
    main()
