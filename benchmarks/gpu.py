"""Exported files on an NVIDIA GPU against PyTorch and matgl there: parity, speed, largest system.

The structure is a small rattled cell (rutile TiO2, or what the model knows), repeated, so that what
must come out is known at every size: what our triplets give for the cell in float64 on the CPU. The
network is that of ``speed.py``, untrained, or one of a folder in matgl's format; ``builtin`` is
trained, so that its errors mean something.

Every size of every candidate has a process of its own. A step is all that molecular dynamics at
constant pressure asks for, edges included, after atoms have moved; of the steps after the first
three the medians are reported. ``network`` is the part of the network, with its copies to the GPU
and back. GPU memory is what ``nvidia-smi`` shows above what it showed before, with context and
caches. The largest system is found by doubling, then between what ran and what failed.

    python benchmarks/gpu.py
    python benchmarks/gpu.py builtin --sizes 54 1000 --no-largest --output gpu_builtin.json

Needs the extras ``matgl`` and ``gpu``, and CUDA; ``tensorrt`` for plans. A candidate that cannot be
exported is left out, and the reason is kept. Results are written after every row.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from gpu_candidates import CONVENTION, Candidate, Kind
from gpu_rows import Row, line_of, measure, nvidia_smi
from machine import command, machine
from speed import save_default_matgl_model

from m3compress.api import export_model, load_potential, resolve_source
from m3compress.benchmark import benchmark_structure
from m3compress.contract.backends import DEVICES
from m3compress.errors import M3CompressError
from m3compress.export.targets import target_named
from m3compress.models.structures.supercell import supercell_of

RESULTS = Path(__file__).parent / "results" / "gpu.json"
KINDS: dict[str, Kind] = {
    "onnx": "artefact",
    "tensorrt": "artefact",
    "pytorch": "pytorch",
    "matgl": "matgl",
}
_CELL_ATOMS = 48
_CLOSE = 1.25  # ratio of the smallest size that fails to the largest that runs


class Bench:
    """A model, the rows that its candidates gave so far, and the file that holds them."""

    def __init__(self, options: argparse.Namespace, model: Path) -> None:
        self.options, self.model = options, model
        potential = load_potential(model, convention=CONVENTION)
        self.formula, self.cell = benchmark_structure(potential.elements, _CELL_ATOMS)
        self.expected = potential.evaluate(self.cell)
        self.ran: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.rows: list[Row] = []
        self.left_out: dict[str, str] = {}

    def export(self, folder: Path) -> list[Candidate]:
        """The candidates of the options, without those that cannot be exported here."""
        made = []
        for name in self.options.candidates:
            path = self.model
            if KINDS[name] == "artefact":
                path = folder / f"{name}.m3c{target_named(name).candidates[0].extension}"
                try:
                    self._export_to(name, path)
                except M3CompressError as error:
                    self.left_out[name] = str(error)
                    print(f"{name} is left out: {error}", flush=True)
                    continue
            made.append(Candidate(name, KINDS[name], str(path), self.options.device))
        return made

    def _export_to(self, target: str, path: Path) -> None:
        export_model(
            self.model,
            path,
            three_body="factorize",
            target=target,
            convention=CONVENTION,
            max_atoms=self.options.max_atoms,
            report=lambda stage, detail: print(f"{target}: {stage}: {detail}", flush=True),
        )

    def run(self, candidate: Candidate, n_atoms: int) -> None:
        """Measure at least so many atoms, print it and write all there is."""
        n_atoms = len(supercell_of(self.cell, n_atoms))
        row: Row = {"candidate": candidate.name, "atoms": n_atoms}
        try:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                given = (candidate, self.cell, self.expected, n_atoms, self.options.seconds)
                row |= alone.submit(measure, *given).result()
            self.ran[candidate.name] = n_atoms
        except BrokenProcessPool:
            row["error"] = "the process died, probably for lack of memory"
        except Exception as error:  # runtimes raise what they like: it is the result
            row["error"] = f"{type(error).__name__}: {error}"[:500]
        if "error" in row:
            self.failed[candidate.name] = n_atoms
        self.rows.append(row)
        print(line_of(row), flush=True)
        self.write()

    def find_largest(self, candidate: Candidate) -> None:
        """Close in on the largest system, from what ran already."""
        name = candidate.name
        while name in self.ran:
            ran, failed = self.ran[name], self.failed.get(name)
            between = 2 * ran if failed is None else round((ran * failed) ** 0.5)
            # Not every number of atoms makes a supercell.
            n_atoms = len(supercell_of(self.cell, between))
            if failed is not None and (failed <= _CLOSE * ran or n_atoms >= failed):
                break
            self.run(candidate, n_atoms)

    def write(self) -> None:
        """Write what there is."""
        document: dict[str, Any] = {
            "command": command(),
            "machine": machine(),
            "gpu": nvidia_smi("name,driver_version,memory.total"),
            "structure": self.formula,
            "largest": self.ran,
            "left_out": self.left_out,
            "rows": self.rows,
        }
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        self.options.output.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure; 1 where nothing ran."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", help="in matgl's format; an untrained one")
    parser.add_argument("--candidates", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 1000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=4.0, help="of timed steps in a row")
    parser.add_argument("--no-largest", action="store_true", help="only these sizes")
    parser.add_argument("--max-atoms", type=int, default=2_000, help="of a TensorRT plan")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    # What PyTorch suggests where memory is nearly full; it is inherited by the processes.
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    with tempfile.TemporaryDirectory() as scratch:
        if options.model is None:
            save_default_matgl_model(Path(scratch, "matgl-default"))
        source = resolve_source(options.model or Path(scratch, "matgl-default"))
        bench = Bench(options, Path(source))
        chosen = bench.export(Path(scratch))
        for n_atoms, candidate in itertools.product(sorted(options.sizes), chosen):
            if candidate.name not in bench.failed:
                bench.run(candidate, n_atoms)
        for candidate in chosen:
            # A plan takes what it was built for.
            if candidate.name != "tensorrt" and not options.no_largest:
                bench.find_largest(candidate)
        bench.write()
    return int(not bench.ran)


if __name__ == "__main__":
    raise SystemExit(main())
