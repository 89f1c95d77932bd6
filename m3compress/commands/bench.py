"""``m3compress bench``: time and memory of an exported file, side by side with its reference."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m3compress.benchmark import Candidate, Measurement, candidates_for, measure
from m3compress.console import print_json, progress, stderr, stdout
from m3compress.contract.backends import device_named
from m3compress.engines.artefact import load_artefact
from m3compress.engines.open import require_runs_on


def run(
    *,
    artefact: Path,
    against: str | None,
    sizes: tuple[int, ...],
    rounds: int,
    device: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Measure and print; returns the exit code."""
    loaded = load_artefact(artefact)
    place = device_named(device)
    require_runs_on(loaded, place)
    n_threads = threads or os.cpu_count() or 1
    candidates = candidates_for(loaded, against, n_threads, place)
    rows: list[Measurement] = []
    with progress("measuring", total=len(sizes)) as advance:
        for size in sizes:
            stderr().print(f"  about {size} atoms: {', '.join(c.name for c in candidates)}")
            rows += measure(candidates, loaded.manifest.elements, size, rounds)
            advance(1)
    if as_json:
        print_json(_document(loaded.path, rows, rounds, n_threads, device))
    else:
        _print_table(rows, candidates)
    return 0


def _document(
    path: Path, rows: list[Measurement], rounds: int, threads: int, device: str
) -> dict[str, Any]:
    return {
        "artefact": path.name,
        "rounds": rounds,
        "threads": threads,
        "device": device,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
        },
        "measurements": [json.loads(json.dumps(asdict(row))) for row in rows],
    }


def _print_table(rows: list[Measurement], candidates: list[Candidate]) -> None:
    from rich.table import Table

    table = Table(title="time and memory of one energy, forces and stress evaluation")
    for heading in ("structure", "atoms", "engine", "ms/atom", "atoms/s", "ns/day at 1 fs"):
        table.add_column(heading, justify="left" if heading in {"structure", "engine"} else "right")
    table.add_column("memory, MB/atom", justify="right")
    table.add_column("speed-up", justify="right")
    for row in rows:
        table.add_row(
            row.structure,
            str(row.n_atoms),
            row.engine,
            f"{row.milliseconds_per_atom:.3f}",
            f"{row.atoms_per_second:.0f}",
            f"{row.nanoseconds_per_day:.3g}",
            f"{row.megabytes_per_atom:.2f}",
            "" if row.speed_up is None else f"{row.speed_up:.2f}×",
        )
    stdout().print(table)
    if len(candidates) == 1:
        stderr().print("hint: `--against MODEL` times the original model beside it")
