"""Energy conservation of the built-in model's exported file: drift over a long run, dt² law.

Velocity Verlet on alpha-quartz (72 atoms) from 300 K; the drift is a slope with a 95 % interval,
the law compares the energy's fluctuation at three time steps from the same state.

    python benchmarks/nve_drift.py --work DIR --picoseconds 20
    python benchmarks/nve_drift.py --work DIR --picoseconds 20 --target native

What is judged, and printed, is the upper bound of the drift's interval.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from machine import command, machine
from silica_gate import gate_of

from m3compress.api import export_model
from m3compress.console import stage_bar
from m3compress.validate.checks.nve import CHECKS
from m3compress.validate.run import run_checks
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import RELEASE

RESULTS = Path(__file__).parent / "results"
_NAMES = {
    "onnx": ("silica.m3c.onnx", "nve_drift.json"),
    "native": ("silica.m3c.safetensors", "nve_drift_native.json"),
}


def main() -> None:
    """Run, judge by the limits of a release, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--picoseconds", type=float, default=20.0)
    parser.add_argument("--target", choices=tuple(_NAMES), default="onnx")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    name, results = _NAMES[options.target]

    options.work.mkdir(parents=True, exist_ok=True)
    artefact = options.work / name
    if not artefact.is_file():
        export_model("builtin", artefact, target=options.target)
    # A gate whose only long run is the one at constant energy.
    profile = replace(
        RELEASE, n_replicas=1, duration=0.02, npt_duration=0.0, nve_duration=options.picoseconds
    )
    context = gate_of(profile, artefact, options.work)
    with stage_bar() as progress:
        found = run_checks(
            replace(context, progress=progress),
            read_limits("release"),
            checks=CHECKS,
        )
    document = {
        "command": command(),
        "machine": machine(),
        "results": [
            {
                "id": result.id,
                "structure": result.measurement.structure,
                "verdict": str(result.verdict),
                "limit": result.limit.value,
                "unit": result.limit.unit,
                **result.measurement.model_dump(include={"value", "interval", "evidence"}),
            }
            for result in found
        ],
    }
    output = options.output or RESULTS / results
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stderr.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
