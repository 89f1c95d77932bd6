"""How reliably the gate tells right from wrong: every control, with several seeds.

Exports a model, puts the reference itself (which must pass) and each broken control (which must
fail, by the checks that are there to see it) through the gate, and writes one row per control and
seed. Goes on where it was stopped.

    python benchmarks/gate_controls.py --work DIR --seeds 5 --negative-seeds 10
    python benchmarks/gate_controls.py --work DIR --seeds 2 --negative-seeds 0 --profile ci --named

With ``--named`` a control is done once the checks that are named for it have failed, as in
``m3compress validate --selfcheck``. One that does nothing to a model is skipped and does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import command, machine

from m3compress.api import export_model, resolve_source
from m3compress.validate.controls.selfcheck import (
    NEGATIVE,
    POSITIVE,
    Control,
    run_controls,
    to_json,
)
from m3compress.validate.setup.settings import Settings

RESULTS = Path(__file__).parent / "results" / "gate_controls.json"


def rows_of_seed(
    settings: Settings, folder: Path, controls: Sequence[Control], *, whole: bool
) -> list[dict[str, Any]]:
    """What the gate said of the controls with one seed.

    Args:
        settings: With the seed.
        folder: Of this seed.
        controls: Those that take part.
        whole: Whether to learn who else sees them.
    """
    start = time.perf_counter()
    outcomes = run_controls(
        settings, folder, controls=controls, whole=whole, resume=True, announce=say
    )
    say(f"seed {settings.seed}: {time.perf_counter() - start:.0f} s")
    return [dict(row) for row in to_json(outcomes)]


def say(line: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _share(answers: Sequence[bool | None]) -> str:
    """Of those that have one: a control may be skipped, or seen before distributions are."""
    known = [one for one in answers if one is not None]
    return f"{sum(known)} of {len(known)}"


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By control: how often it was treated as it must, and what saw it every time."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["control"] for row in rows):
        own = [row for row in rows if row["control"] == name]
        always = set.intersection(*(set(row["failed"]) for row in own))
        found[name] = {
            "must": own[0]["must"],
            "as_expected": _share([row["as_expected"] for row in own]),
            "skipped": next((row["skipped"] for row in own if row["skipped"]), None),
            "failed_every_time": sorted(always),
            "missed_by_rdf_alone": _share([row["missed_by_rdf"] for row in own]),
        }
    return found


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--model", default="builtin", help="whose controls")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seeds", type=int, default=5, help="for every control")
    parser.add_argument("--negative-seeds", type=int, default=10, help="for the negative control")
    parser.add_argument("--only", nargs="*", help="names of broken controls")
    parser.add_argument("--named", action="store_true", help="run named checks until they fail")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()

    artefact = options.work / "right.m3c.onnx"
    if not artefact.is_file():
        options.work.mkdir(parents=True, exist_ok=True)
        export_model(options.model, artefact)
    rows: list[dict[str, Any]] = []
    for seed in range(max(options.seeds, options.negative_seeds)):
        settings = Settings(
            artefact=artefact,
            model=str(resolve_source(options.model)),
            profile=options.profile,
            seed=seed,
        )
        folder = options.work / f"seed-{seed}"
        controls = [NEGATIVE] if seed < options.negative_seeds else []
        if seed < options.seeds:
            controls += [c for c in POSITIVE if options.only is None or c.name in options.only]
        rows += rows_of_seed(settings, folder, controls, whole=not options.named)
    document = {
        "command": command(),
        "machine": machine(),
        "summary": summary(rows),
        "rows": rows,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(document["summary"], indent=1))


if __name__ == "__main__":
    main()
