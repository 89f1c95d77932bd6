"""A run of the gate that is killed and resumed gives what an uninterrupted one gives.

Runs `m3compress validate` once in peace, and once killed (SIGKILL of the main process alone) at
random moments and at once resumed after each, and compares verdicts and values of every check, to
the last digit.

    python benchmarks/kill_and_resume.py --work DIR --kills 3
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import command, machine

from m3compress.api import export_model

RESULTS = Path(__file__).parent / "results" / "kill_and_resume.json"


def validation(artefact: Path, folder: Path, *, seed: int, resume: bool) -> list[str]:
    """The command line of one run."""
    words = ["validate", str(artefact), "--against", "builtin", "--profile", "smoke"]
    words += ["--seed", str(seed), "--report-dir", str(folder)]
    return [sys.executable, "-m", "m3compress", *words, *(["--resume"] if resume else [])]


def run(words: list[str], kill_after: float | None) -> int | None:
    """Exit code, or None if it was killed."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        return process.wait(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()  # and nothing else: what it started must end by itself
        process.wait()
        return None


def values_of(folder: Path) -> list[dict[str, Any]]:
    """What a report says of every check, without what depends on the clock."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for result in report["results"]:
        del result["seconds"]
        # The folder of a trajectory is named in the command that repeats it.
        del result["measurement"]["command"]
    return list(report["results"])


def main() -> None:
    """Run both, compare, and write the result; exit code 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the runs")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    options.work.mkdir(parents=True, exist_ok=True)
    artefact = options.work / "silica.m3c.onnx"
    export_model("builtin", artefact, force=True)
    peaceful, killed = options.work / "uninterrupted", options.work / "killed"
    start = time.perf_counter()
    codes = [run(validation(artefact, peaceful, seed=options.seed, resume=False), None)]
    seconds = time.perf_counter() - start
    moments: list[float] = []
    rng = random.Random(options.seed)
    while len(moments) < options.kills:
        resume = (killed / "work" / "run.json").is_file()
        # Each attempt gets further than the last checkpoint, and is killed before it can end.
        moment = rng.uniform(0.1, 0.6) * seconds
        if run(validation(artefact, killed, seed=options.seed, resume=resume), moment) is not None:
            break
        moments.append(round(moment, 1))
    resume = (killed / "work" / "run.json").is_file()
    codes.append(run(validation(artefact, killed, seed=options.seed, resume=resume), None))
    first, second = values_of(peaceful), values_of(killed)
    document = {
        "command": command(),
        "machine": machine(),
        "uninterrupted_seconds": round(seconds, 1),
        "killed_after_seconds": moments,
        "exit_codes": codes,
        "checks_compared": len(first),
        "identical": first == second and codes[0] == codes[1],
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(json.dumps(document, indent=1) + "\n")
    sys.exit(not document["identical"])


if __name__ == "__main__":
    main()
