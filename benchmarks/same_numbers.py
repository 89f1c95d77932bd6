"""What must not change when code is only moved: exported graphs, and the values of a gate run.

    python benchmarks/same_numbers.py --save before.json     # before the change
    python benchmarks/same_numbers.py --compare before.json  # after it; 1 if anything differs

Graphs are hashed without metadata and tool versions; the gate runs in profile ``smoke`` with a
fixed seed, and every value, interval, floor and verdict is compared to the last digit. Timings are
left out. Needs the checkpoints of ``M3COMPRESS_SHARED`` (default ``../shared``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

SHARED = Path(os.environ.get("M3COMPRESS_SHARED", "../shared"))
TENSORFLOW = SHARED / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow"
EXPORTS = {
    "builtin-factorised": ("builtin", "--three-body", "factorize"),
    "builtin-removed": ("builtin", "--three-body", "remove"),
    "builtin-mixed": ("builtin", "--three-body", "factorize", "--precision", "mixed"),
    "tensorflow-factorised": (str(TENSORFLOW), "--three-body", "factorize"),
}
_COMPARED = ("structure", "value", "interval", "floor", "power", "skipped", "error")


def run(*words: str) -> None:
    """Run the command line of the m3compress that this Python imports."""
    command = [sys.executable, "-m", "m3compress", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")


def graph_sha256(path: Path) -> str:
    """Hash of nodes and weights alone."""
    graph = onnx.load(path).graph
    return hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()


def gate_values(report: Path) -> dict[str, list[Any]]:
    """Everything that was measured and is no timing, by check and subject."""
    found: dict[str, list[Any]] = {}
    for result in json.loads(report.read_text(encoding="utf-8"))["results"]:
        if result["tier"] == "performance":
            continue
        measurement = result["measurement"]
        row = [measurement[name] for name in _COMPARED]
        found.setdefault(f"{result['id']} {result['subject']}", []).append(
            [*row, result["verdict"]]
        )
    return found


def collect(folder: Path) -> dict[str, Any]:
    """Export and validate; returns graphs and values."""
    graphs = {}
    for name, words in EXPORTS.items():
        path = folder / f"{name}.m3c.onnx"
        run("export", *words, "-o", str(path))
        graphs[name] = graph_sha256(path)
        print(f"{name}: {graphs[name]}", flush=True)
    reports = folder / "report"
    artefact = str(folder / "builtin-factorised.m3c.onnx")
    context = ("validate", artefact, "--against", "builtin", "--profile", "smoke", "--seed", "0")
    run(*context, "--report-dir", str(reports))
    return {"graphs": graphs, "gate": gate_values(reports / "report.json")}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """One line for everything that is not the same."""
    lines = []
    for part in ("graphs", "gate"):
        for name in sorted({*before[part], *after[part]}):
            was, now = before[part].get(name), after[part].get(name)
            if was != now:
                lines.append(f"{part}: {name}: {was} -> {now}")
    return lines


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = json.loads(json.dumps(collect(Path(folder))))
    if chosen.save:
        chosen.save.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if not chosen.compare:
        return 0
    changed = differences(json.loads(chosen.compare.read_text(encoding="utf-8")), found)
    n_values = sum(len(rows) for rows in found["gate"].values())
    print("\n".join(changed) or f"the same: {len(found['graphs'])} graphs, {n_values} results")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
