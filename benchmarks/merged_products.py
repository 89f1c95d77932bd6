"""Is an exported graph faster if products that read the same tensor are one product?

The value and the gate of a gated MLP read the same input, and so do the adjoints of both: their
weights can stand side by side, so that the input is read once and the result is split. Both files
take steps in turn on rutile, with the network of ``speed.py``; they must say the same.

    python benchmarks/merged_products.py --atoms 576 --rounds 9
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from attacks.surgery import Surgery
from machine import command, machine
from onnx import helper
from speed import save_default_matgl_model

from m3compress import Calculator
from m3compress.analysis.timing import median_ratio, time_in_turn
from m3compress.api import export_model
from m3compress.benchmark import Candidate, benchmark_structure

RESULTS = Path(__file__).parent / "results" / "merged_products.json"


def merge(file: Surgery) -> int:
    """Join products with weights that read the same tensor; how many of them there were."""
    stored = {tensor.name for tensor in file.graph.initializer}
    nodes = list(file.graph.node)
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        if node.op_type in {"Gemm", "MatMul"} and set(node.input[1:]) <= stored:
            how = tuple((one.name, helper.get_attribute_value(one)) for one in node.attribute)
            groups[node.op_type, node.input[0], how, len(node.input)].append(place)
    several = [places for places in groups.values() if len(places) > 1]
    joined = {places[0]: _joined(file, [nodes[k] for k in places]) for places in several}
    gone = {place for places in several for place in places}
    kept = [joined.get(k, []) if k in gone else [node] for k, node in enumerate(nodes)]
    del file.graph.node[:]
    file.graph.node.extend(node for part in kept for node in part)
    return len(gone)


def _joined(file: Surgery, parts: list[Any]) -> list[Any]:
    """One product in place of several, and the split of its result."""
    how = {one.name: helper.get_attribute_value(one) for one in parts[0].attribute}
    axis = 0 if how.get("transB") else 1
    matrices = [file.weight(part.input[1]) for part in parts]
    inputs = [parts[0].input[0], file.constant(np.concatenate(matrices, axis))]
    if len(parts[0].input) > 2:
        inputs.append(file.constant(np.concatenate([file.weight(p.input[2]) for p in parts])))
    widths = file.constant(np.array([matrix.shape[axis] for matrix in matrices]), np.int64)
    whole, outputs = f"{parts[0].output[0]}_joined", [part.output[0] for part in parts]
    return [
        helper.make_node(parts[0].op_type, inputs, [whole], **how),
        helper.make_node("Split", [whole, widths], outputs, axis=-1),
    ]


def require_same(files: list[Path], atoms: Atoms) -> None:
    """Stop if the files do not say the same of a structure."""
    first, second = (Calculator(file).evaluate(atoms) for file in files)
    if not np.allclose(first.forces, second.forces, rtol=1e-4, atol=1e-6):
        raise SystemExit("the two files do not give the same forces")


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--atoms", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as scratch:
        model, exported = Path(scratch, "matgl-default"), Path(scratch, "tio2.m3c.onnx")
        save_default_matgl_model(model)
        export_model(model, exported, three_body="factorize", convention="matgl-4.1")
        surgery = Surgery(exported)
        n_joined = merge(surgery)
        files = [exported, surgery.save(Path(scratch, "joined.m3c.onnx"))]
        _, atoms = benchmark_structure(Calculator(exported).manifest.elements, options.atoms)
        require_same(files, atoms)
        chosen = [Candidate(f.name, "artefact", str(f), options.threads) for f in files]
        as_it_is, joined = time_in_turn(chosen, atoms, options.rounds)
    found = {
        "command": command(),
        "machine": machine(),
        "load_average": {"before": before, "after": os.getloadavg()},
        "atoms": len(atoms),
        "products_joined": n_joined,
        "ms": [1e3 * statistics.median(cost.seconds) for cost in (as_it_is, joined)],
        "cpu_ms": [1e3 * statistics.median(cost.cpu_seconds) for cost in (as_it_is, joined)],
        "joined_over_exported": median_ratio(joined.seconds, as_it_is.seconds),
        "joined_over_exported_cpu": median_ratio(joined.cpu_seconds, as_it_is.cpu_seconds),
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
