"""Speed and memory of the exported file against matgl's own calculator, on rutile TiO2.

A network of matgl's default sizes (64 features, 3 blocks, 3-layer gated MLPs) with random weights
is saved by matgl and exported by m3compress, and both are timed step by step in turn, by the clock
and by the processor; speed-ups are medians of the ratios round by round. Weights do not matter for
time. Needs the extra ``matgl``. The largest size runs the exported file alone.

What else runs takes time by the clock from both, and not the same share: the load of the machine is
recorded before and after, and a busy one is refused unless ``--busy`` says that it is known.

    python benchmarks/speed.py --sizes 600 2000 --largest 10000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import command, machine

from m3compress.api import export_model
from m3compress.benchmark import Measurement, candidates_for, measure
from m3compress.engines.artefact import load_artefact

RESULTS = Path(__file__).parent / "results" / "speed.json"
QUIET = 0.3  # load average over the last minute


def save_default_matgl_model(folder: Path, elements: tuple[str, ...] = ("O", "Ti")) -> None:
    """An untrained M3GNet of default sizes, by default for Ti and O, in matgl's format."""
    import matgl
    import torch
    from matgl.apps.pes import Potential
    from matgl.models import M3GNet

    torch.manual_seed(0)
    network = M3GNet(element_types=elements, is_intensive=False)
    Potential(model=network, data_std=2.0).save(str(folder))
    sys.stderr.write(f"matgl {matgl.__version__}: saved a default M3GNet\n")


def row_of(measurement: Measurement) -> dict[str, Any]:
    """Measured and derived figures of one row."""
    return {
        **asdict(measurement),
        "milliseconds_per_atom": measurement.milliseconds_per_atom,
        "cpu_milliseconds_per_atom": measurement.cpu_milliseconds_per_atom,
        "megabytes_per_atom": measurement.megabytes_per_atom,
        "atoms_per_second": measurement.atoms_per_second,
        "nanoseconds_per_day": measurement.nanoseconds_per_day,
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[600, 2000])
    parser.add_argument("--largest", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    before = os.getloadavg()
    if before[0] > QUIET and not chosen.busy:
        parser.error(f"load average {before[0]:.2f}, expected at most {QUIET}: wait, or --busy")
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory() as scratch:
        model, output = Path(scratch, "matgl-default"), Path(scratch, "tio2.m3c.onnx")
        save_default_matgl_model(model)
        export_model(model, output, three_body="factorize", convention="matgl-4.1")
        artefact = load_artefact(output)
        elements = artefact.manifest.elements
        pair = candidates_for(artefact, str(model), chosen.threads)
        for size in chosen.sizes:
            rows += measure(pair, elements, size, chosen.rounds)
            print(*(row_of(row) for row in rows[-2:]), sep="\n")
        if chosen.largest:
            rows += measure(pair[:1], elements, chosen.largest, 2)
            print(row_of(rows[-1]))
    document = {
        "command": command(),
        "machine": machine(),
        "load_average": {"before": before, "after": os.getloadavg()},
        "threads": chosen.threads,
        "rounds": chosen.rounds,
        "rows": [row_of(row) for row in rows],
    }
    chosen.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
