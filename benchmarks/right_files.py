"""Do right exported files pass the gate, how long does that take, and was it said before?

Every model is exported as ``m3compress export`` does by itself, and put through a profile with
several seeds. What is foretold is the time on the clock of an idle machine with this number of
processes. On a busy one, run with one process and compare it with processor time instead.

    python benchmarks/right_files.py builtin MODEL... --profile smoke --seeds 3
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results_file import keep

from m3compress.api import export_model, resolve_source
from m3compress.validate.gate import validate
from m3compress.validate.result import CheckResult, Verdict
from m3compress.validate.setup.settings import Settings

_FORETOLD = re.compile(r"about ([0-9.]+) (s|min|h) with")
_SECONDS = {"s": 1, "min": 60, "h": 3600}

RESULTS = Path(__file__).parent / "results" / "right_files.json"


def processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def run(settings: Settings, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    said: list[str] = []
    start, clock = processor_seconds(), time.perf_counter()
    report = validate(settings, folder, announce=said.append)
    seconds, clock = processor_seconds() - start, time.perf_counter() - clock
    own = [result for result in report.results if result.decides]
    return {
        "seed": settings.seed,
        "verdict": str(report.verdict),
        "not_passed": sorted(
            {r.id for r in own if r.verdict not in (Verdict.PASS, Verdict.SKIPPED)}
        ),
        "closest_to_its_limit": _closest(own),
        "processes": settings.n_workers,
        "cpu_s": round(seconds, 1),
        "clock_s": round(clock, 1),
        "foretold_s": foretold_seconds(said[0]),
    }


def foretold_seconds(line: str) -> float:
    """The time that a run announced, as it was printed.

    Raises:
        ValueError: If the line names none.
    """
    found = _FORETOLD.search(line)
    if found is None:
        raise ValueError(f"{line!r} foretells no time")
    return round(float(found[1]) * _SECONDS[found[2]], 1)


def _closest(results: Sequence[CheckResult]) -> dict[str, float]:
    """The five checks that come closest to their limits, as parts of these."""
    parts: dict[str, float] = {}
    for result in results:
        parts[result.id] = max(parts.get(result.id, 0.0), result.severity)
    return {name: round(parts[name], 3) for name in sorted(parts, key=lambda n: -parts[n])[:5]}


def main() -> int:
    """Run all, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    verdicts = []
    for model in arguments.models:
        rows = []
        with tempfile.TemporaryDirectory() as scratch:
            artefact = Path(scratch) / "right.m3c.onnx"
            export_model(model, output=artefact)
            for seed in range(arguments.seeds):
                settings = Settings(
                    artefact=artefact,
                    model=str(resolve_source(model)),
                    profile=arguments.profile,
                    seed=seed,
                    n_workers=arguments.workers,
                )
                rows.append(run(settings, Path(scratch) / str(seed)))
                sys.stderr.write(f"{Path(model).name} {json.dumps(rows[-1])}\n")
                sys.stderr.flush()
                keep(RESULTS, f"{Path(model).name}, {arguments.profile}", {"rows": rows})
        verdicts += [row["verdict"] for row in rows]
    return 0 if set(verdicts) == {"pass"} else 1


if __name__ == "__main__":
    raise SystemExit(main())
