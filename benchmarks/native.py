"""Time and memory of the native core against the ONNX file and matgl's calculator, on rutile TiO2.

The network is that of ``speed.py``. All candidates step in turn, each in a process of its own. What
is printed are medians, of times per atom and of ratios to the first candidate round by round:

* every precision and memory mode by the clock and by the processor, with memory above start-up;
* the ONNX file, and matgl's calculator (extra ``matgl``), and students as native files;
* how much longer one thread takes, and how much more two processes do at once than one;
* which part of the rate of matrix products (``numpy``, one thread, in cache) the core reaches. The
  products of the network, forward and back, count once: what is evaluated again does not.

    python benchmarks/native.py --sizes 576 1944 --rounds 7 --student STUDENT.m3c.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from machine import command, machine
from speed import save_default_matgl_model

from m3compress import Calculator
from m3compress.analysis.timing import Steps, median_ratio, time_in_turn
from m3compress.api import export_model, load_potential
from m3compress.benchmark import Candidate, benchmark_structure
from m3compress.contract.neighbors import find_edges
from m3compress.engines.base import Memory, Precision
from m3compress.models.potential import Potential

RESULTS = Path(__file__).parent / "results" / "native.json"
_MODEL = "matgl-4.1"  # convention of the network


@dataclass(frozen=True, slots=True)
class Native:
    """A native file, opened in one way.

    Attributes:
        path: The file.
        threads: Of an evaluation.
        precision: Of the arithmetic.
        memory: ``keep`` or ``recompute``.
        what: Name of the model.
    """

    path: str
    threads: int
    precision: Precision = "float32"
    memory: Memory = "keep"
    what: str = "native"

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.what} {self.precision} {self.memory}, threads {self.threads}"

    def open(self) -> Steps:
        """Load it, in the process in which it is timed."""
        return Calculator(
            self.path, threads=self.threads, precision=self.precision, memory=self.memory
        )


def candidates(native: Path, onnx: Path, model: Path, threads: int) -> list[Native | Candidate]:
    """All that is compared; the first is what the others are compared with."""
    file = str(native)
    return [
        Native(file, threads),
        Native(file, threads, memory="recompute"),
        Native(file, threads, precision="float64"),
        Native(file, threads, precision="float64", memory="recompute"),
        Native(file, 1),
        Candidate(f"ONNX, threads {threads}", "artefact", str(onnx), threads),
        Candidate(f"matgl, threads {threads}", "matgl", str(model), threads),
    ]


def rows_of(
    chosen: Sequence[Native | Candidate], atoms: Atoms, rounds: int
) -> list[dict[str, Any]]:
    """Time one structure."""
    costs = time_in_turn(chosen, atoms, rounds)
    return [
        {
            "engine": one.name,
            "n_atoms": len(atoms),
            "ms_per_atom": 1e3 * statistics.median(cost.seconds) / len(atoms),
            "cpu_ms_per_atom": 1e3 * statistics.median(cost.cpu_seconds) / len(atoms),
            "kB_per_atom": cost.peak_bytes / len(atoms) / 1e3,
            "times_of_first": median_ratio(cost.seconds, costs[0].seconds),
            "cpu_times_of_first": median_ratio(cost.cpu_seconds, costs[0].cpu_seconds),
            **asdict(cost),
        }
        for one, cost in zip(chosen, costs, strict=True)
    ]


def megaflop_per_atom(potential: Potential, atoms: Atoms) -> float:
    """Products of the network with features, forward and back, without those that are repeated."""
    edges, _ = find_edges(atoms, potential.cutoff)
    inside = potential.config.edge_width
    per_edge = len(edges.centers) / len(atoms)
    total = 0.0
    for name, weight in potential.network.named_parameters():
        if weight.ndim != 2 or ("embedding.weight" in name and "edge" not in name):
            continue
        n_out, n_in = weight.shape
        if "_update" in name and ".0.weight" in name:  # [v_i, v_j, e_ij]: v once per atom
            total += n_out * (inside * per_edge + n_in - inside)
        else:
            total += n_out * n_in * (1 if "readout" in name or "atom_gate" in name else per_edge)
    return 4e-6 * total  # two operations each, and the same on the way back


def seconds_of_process(path: str, atoms: Atoms, rounds: int) -> float:
    """Median by the clock of an evaluation on one thread, in this process."""
    calculator, taken = Calculator(path, threads=1), []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        calculator.evaluate(atoms)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def rate_of_two(native: Path, atoms: Atoms, rounds: int) -> float:
    """How much more two processes do at once than one, of one thread each and nothing in common.

    What is missing to two is the machine's: its clock, and the memory that both cores share.
    """
    rates = []
    for n_processes in (1, 2):
        with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as executor:
            each = [
                executor.submit(seconds_of_process, str(native), atoms, rounds)
                for _ in range(n_processes)
            ]
            rates.append(sum(1 / one.result() for one in each))
    return rates[1] / rates[0]


def product_rate() -> float:
    """:func:`rate_here` in a process whose ``numpy`` has one thread."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(rate_here).result()


def rate_here(seconds: float = 0.5) -> float:
    """GFLOP/s of a product of matrices that lie in the cache, in this process; the best of many."""
    a = np.ones((256, 256), np.float32)
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.process_time()
        for _ in range(20):
            a @ a
        best = min(best, time.process_time() - start)
    return 20 * 2 * 256**3 / best / 1e9


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[576, 1944])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--student", type=Path, nargs="*", default=[], help="native files, too")
    parser.add_argument("--without", nargs="*", default=[], help="beginnings of names to leave out")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    before, rows = os.getloadavg(), []
    with tempfile.TemporaryDirectory() as scratch:
        model, folder = Path(scratch, "matgl-default"), Path(scratch)
        native, onnx = folder / "tio2.m3c.safetensors", folder / "tio2.m3c.onnx"
        save_default_matgl_model(model)
        for target, path in (("native", native), ("onnx", onnx)):
            export_model(model, path, target=target, three_body="factorize", convention=_MODEL)
        potential = load_potential(str(model), convention=_MODEL)
        chosen = candidates(native, onnx, model, options.threads)
        chosen += [Native(str(file), options.threads, what="student") for file in options.student]
        chosen = [one for one in chosen if not one.name.startswith(tuple(options.without))]
        for size in options.sizes:
            _, atoms = benchmark_structure(potential.config.elements, size)
            rows += rows_of(chosen, atoms, options.rounds)
            show(rows[-len(chosen) :])
        work = megaflop_per_atom(potential, atoms)
        of_two = rate_of_two(native, atoms, options.rounds)
        print(f"two processes of one thread each do {of_two:.2f} times as much as one")
    rate = product_rate()
    alone = [row for row in rows if row["engine"].endswith("keep, threads 1")]
    for row in alone:
        row["part_of_product_rate"] = work / row["cpu_ms_per_atom"] / rate
        print(
            f"{row['n_atoms']} atoms: {work:.1f} MFLOP per atom at "
            f"{work / row['cpu_ms_per_atom']:.0f} GFLOP/s, "
            f"{100 * row['part_of_product_rate']:.0f} % of {rate:.0f} GFLOP/s"
        )
    document = {
        "command": command(),
        "machine": machine(),
        "load_average": {"before": before, "after": os.getloadavg()},
        "megaflop_per_atom": work,
        "product_rate": rate,
        "rate_of_two_processes": of_two,
        "rows": rows,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows of one structure."""
    print(
        f"{rows[0]['n_atoms']:6d} atoms"
        + " " * 24
        + "ms/atom  CPU ms/atom  kB/atom  × first  × first, CPU"
    )
    for row in rows:
        print(
            f"  {row['engine']:34s}{row['ms_per_atom']:9.3f}{row['cpu_ms_per_atom']:13.3f}"
            f"{row['kB_per_atom']:9.1f}{row['times_of_first']:9.2f}{row['cpu_times_of_first']:14.2f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
