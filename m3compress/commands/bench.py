"""``m3compress bench``: time and memory of an exported file, side by side with its reference."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from rich.table import Table

from m3compress.benchmark import Measurement, candidates_for, measure
from m3compress.console import print_json, progress, stderr, wide
from m3compress.contract.backends import device_named
from m3compress.engines.artefact import load_artefact
from m3compress.engines.open import require_runs_on

#: By the clock and of the processor, all threads together; speed-ups likewise.
_NUMBERS: Final = (
    "ms/atom",
    "CPU\nms/atom",
    "ns/day\nat 1 fs",
    "MB/atom",
    "faster",
    "CPU\nfaster",
)


def run(
    *,
    artefact: Path,
    against: str | None,
    sizes: tuple[int, ...],
    rounds: int,
    device: str,
    threads: int | None,
    convention: str | None = None,
    labels: Path | None = None,
    as_json: bool,
) -> int:
    """Measure and print; returns the exit code."""
    loaded = load_artefact(artefact)
    place = device_named(device)
    require_runs_on(loaded, place)
    n_threads = threads or os.cpu_count() or 1
    candidates = candidates_for(
        loaded, against, n_threads, place, convention=convention, labels=labels
    )
    rows: list[Measurement] = []
    with progress("measuring", total=len(sizes)) as advance:
        for size in sizes:
            stderr().print(f"  about {size} atoms: {', '.join(c.name for c in candidates)}")
            rows += measure(candidates, loaded.manifest.elements, size, rounds)
            advance(1)
    if as_json:
        print_json(_document(loaded.path, rows, rounds, n_threads, device))
    else:
        wide().print(_table(rows))
        if len(candidates) == 1:
            stderr().print("hint: `--against MODEL` times the original model beside it")
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


def _table(rows: list[Measurement]) -> Table:
    structures = ", ".join(dict.fromkeys(row.structure for row in rows))
    table = Table(
        title=f"time and memory of one energy, forces and stress evaluation of {structures}",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for heading in ("atoms", "engine", *_NUMBERS):
        justify: Literal["left", "right"] = "left" if heading == "engine" else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(
            str(row.n_atoms),
            row.engine,
            f"{row.milliseconds_per_atom:.3f}",
            f"{row.cpu_milliseconds_per_atom:.3f}",
            f"{row.nanoseconds_per_day:.3g}",
            f"{row.megabytes_per_atom:.2f}",
            _times(row.speed_up),
            _times(row.cpu_speed_up),
        )
    return table


def _times(factor: float | None) -> str:
    return "" if factor is None else f"{factor:.2f}×"
