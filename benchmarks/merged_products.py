"""Is an exported graph faster if products that read the same tensor are one product?

The value and the gate of a gated MLP read the same input, and so do the adjoints of both: their
weights can stand side by side, so that the input is read once and the result is split. Both graphs
are run in turn, in one process, on the tables of a rutile cell of the network of ``speed.py``;
their outputs must be the same.

    python benchmarks/merged_products.py --atoms 576 --rounds 15
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from machine import command, machine
from onnx import helper, numpy_helper
from speed import save_default_matgl_model

from m3compress.analysis.timing import median_ratio
from m3compress.api import export_model
from m3compress.benchmark import benchmark_structure
from m3compress.engines.evaluator import ArtefactEvaluator

RESULTS = Path(__file__).parent / "results" / "merged_products.json"


def merge(model: onnx.ModelProto) -> int:
    """Join products with weights that read the same tensor, in place; how many there were."""
    graph = model.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, node in enumerate(graph.node):
        known = all(name in weights for name in node.input[1:])
        if node.op_type in {"Gemm", "MatMul"} and known and weights[node.input[1]].ndim == 2:
            how = tuple((a.name, helper.get_attribute_value(a)) for a in node.attribute)
            groups[node.op_type, node.input[0], how, len(node.input)].append(place)
    nodes, dropped, joined = list(graph.node), set(), {}
    for (kind, source, how, _), places in groups.items():
        if len(places) < 2:
            continue
        parts = [nodes[place] for place in places]
        name, axis = f"joined{len(joined)}", 0 if dict(how).get("transB") else 1
        stored = {"b": np.concatenate([weights[part.input[1]] for part in parts], axis)}
        if len(parts[0].input) > 2:
            stored["c"] = np.concatenate([weights[part.input[2]].ravel() for part in parts])
        inputs = [source, *(f"{name}{key}" for key in stored)]
        stored["s"] = np.array([weights[part.input[1]].shape[axis] for part in parts])
        for key, array in stored.items():
            graph.initializer.append(numpy_helper.from_array(array, name + key))
        joined[places[0]] = [
            helper.make_node(kind, inputs, [name], **dict(how)),
            helper.make_node("Split", [name, f"{name}s"], [p.output[0] for p in parts], axis=-1),
        ]
        dropped.update(places)
    kept = [[node] if place not in dropped else [] for place, node in enumerate(nodes)]
    del graph.node[:]
    graph.node.extend(n for place, own in enumerate(kept) for n in (*joined.get(place, ()), *own))
    return len(dropped)


def times_of(
    sessions: dict[str, ort.InferenceSession], feed: dict[str, Any], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each in turn, by the clock and by the processor, after one run that must agree."""
    first, second = (session.run(None, feed) for session in sessions.values())
    if not all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(first, second, strict=True)):
        raise SystemExit("the two graphs do not give the same")
    taken: dict[str, dict[str, list[float]]] = {n: {"clock": [], "cpu": []} for n in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            session.run(None, feed)
            taken[name]["clock"].append(time.perf_counter() - start)
            taken[name]["cpu"].append(time.process_time() - cpu_start)
    return taken


def session_of(model: bytes, threads: int) -> ort.InferenceSession:
    """As the engine opens a file, as far as it matters for two graphs of the same kind."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--atoms", type=int, default=576)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, path = Path(scratch, "matgl-default"), Path(scratch, "tio2.m3c.onnx")
        save_default_matgl_model(source)
        export_model(source, path, three_body="factorize", convention="matgl-4.1")
        evaluator = ArtefactEvaluator(path)
        _, atoms = benchmark_structure(evaluator.elements, options.atoms)
        model = onnx.load(path)
        as_it_is = session_of(model.SerializeToString(), options.threads)
        feed = evaluator.inputs(atoms).feed()
        feed = {one.name: feed[one.name] for one in as_it_is.get_inputs()}
    n_merged = merge(model)
    sessions = {
        "exported": as_it_is,
        "joined": session_of(model.SerializeToString(), options.threads),
    }
    taken = times_of(sessions, feed, options.rounds)
    found = {
        "command": command(),
        "machine": machine(),
        "load_average": os.getloadavg(),
        "atoms": len(atoms),
        "products_joined": n_merged,
        "ms": {n: {k: 1e3 * statistics.median(v) for k, v in t.items()} for n, t in taken.items()},
        "joined_over_exported": {
            kind: median_ratio(taken["joined"][kind], taken["exported"][kind])
            for kind in ("clock", "cpu")
        },
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
