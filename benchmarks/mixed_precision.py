"""What mixed precision costs: the built-in model's file in float32 and in mixed precision.

Both files go through the checks of `smoke` that compare forces with the trained model, and forces
and stresses with differences of the file's own energy.

    python benchmarks/mixed_precision.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from machine import command, machine

from m3compress.api import export_model, resolve_source
from m3compress.validate.run import CHECKS, run_checks
from m3compress.validate.setup.settings import Settings, open_context

RESULTS = Path(__file__).parent / "results" / "mixed_precision.json"
NAMES = ("parity.export-force", "grad.forces", "grad.stress")


def judged(precision: str, folder: Path) -> dict[str, Any]:
    """Value, limit and verdict of each check."""
    artefact = folder / f"{precision}.m3c.onnx"
    export_model("builtin", artefact, precision=precision)
    model = str(resolve_source("builtin"))
    settings = Settings(artefact=artefact, model=model, profile="smoke", n_workers=1)
    context = open_context(settings, folder / precision, folder / precision)
    checks = [check for check in CHECKS if check.id in NAMES]
    return {
        result.id: {
            "value": result.measurement.value,
            "unit": result.limit.unit,
            "verdict": str(result.verdict),
            "structure": result.measurement.structure,
        }
        for result in run_checks(context, settings.read_limits(), checks=checks)
        if result.subject == "artefact"
    }


def main() -> None:
    """Measure, and write the results."""
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: judged(name, Path(scratch)) for name in ("float32", "mixed")}
    document = {"command": command(), "machine": machine(), "checks": found}
    text = json.dumps(document, indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
