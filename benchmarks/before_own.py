"""Does the gate refuse a student that has not learned from its own dynamics?

The student of a round of a finished distillation, as it was before that round's frames, gets the
record of the finished one, so that nothing but its weights tells them apart; both are exported and
put through the gate with their teacher.

    python benchmarks/distillation.py TEACHER --work DIR --student fast --minutes 22
    python benchmarks/before_own.py DIR --teacher TEACHER --profile smoke
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from distillation import STUDENT
from results_file import keep

from m3compress.api import load_potential
from m3compress.models.student_record import record_of, write_student

RESULTS: Final = Path(__file__).parent / "results" / "before_own.json"


def with_record_of(finished: Path, weights: Path, target: Path) -> None:
    """A model of these weights with the record of another."""
    record = record_of(load_potential(str(finished)))
    if record is None:
        raise SystemExit(f"{finished} is no student: it has no record")
    write_student(load_potential(str(weights)), record, target, force=True)


def refused_by(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The verdict of the gate, the checks that do not pass, and what those of students measured."""
    artefact = model.with_name(model.name.replace(".safetensors", ".onnx"))
    words = [sys.executable, "-m", "m3compress"]
    subprocess.run([*words, "export", str(model), "-o", str(artefact), "--force"], check=True)
    words += ["validate", str(artefact), "--against", str(model), "--teacher", options.teacher]
    words += ["--structures", str(options.work / "phases.extxyz"), "--profile", options.profile]
    words += ["--report-dir", str(options.work / f"{model.name.partition('.')[0]}.report")]
    words += ["--seed", str(options.seed), "--workers", "1", "--json", "--force"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    report = json.loads(done.stdout)
    failed = [
        result["id"]
        for result in report["results"]
        if result["verdict"] in {"fail", "error"} and result["subject"] == "artefact"
    ]
    measured = {
        f"{result['id']}, {found['structure']}": [found["value"], result["limit"]["value"]]
        for result in report["results"]
        for found in [result["measurement"]]
        if result["id"].startswith("student.") and found["value"] is not None
    }
    return {
        "verdict": report["verdict"],
        "failed": list(dict.fromkeys(failed)),
        "measured and limit": measured,
    }


def main() -> int:
    """Run, print and keep; 1 unless the early one fails and the finished one passes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path, help="folder of benchmarks/distillation.py")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--round", type=int, default=1)
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    early = options.work / f"before-{options.round}.m3c.safetensors"
    weights = options.work / "work" / "own" / f"student-{options.round}.m3c.safetensors"
    with_record_of(options.work / STUDENT, weights, early)
    found = {
        f"before round {options.round}": refused_by(early, options),
        "finished": refused_by(options.work / STUDENT, options),
    }
    print(json.dumps(found, indent=1))
    keep(RESULTS, f"{options.work.name}, {options.profile}, seed {options.seed}", found)
    return int([one["verdict"] for one in found.values()] != ["fail", "pass"])


if __name__ == "__main__":
    raise SystemExit(main())
