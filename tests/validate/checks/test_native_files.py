"""Native files in the gate: a right one passes, and wrong weights or tables are refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_library import built_library
from random_networks import write_native_artefact
from safetensors import safe_open
from safetensors.numpy import load_file, save

from m3compress.contract.backends import manifest_path
from m3compress.contract.forms import FACTORIZED
from m3compress.models.potential import Potential
from m3compress.validate.checks.artefact import CHECKS as ARTEFACT
from m3compress.validate.checks.parity import CHECKS as PARITY
from m3compress.validate.result import Verdict
from m3compress.validate.setup.subject import exported

Tensors = dict[str, np.ndarray]

EXPORT_ERRORS = tuple(check.id for check in PARITY if check.id.startswith("parity.export"))
#: Checks that read an ONNX graph.
_OF_GRAPHS = ("operators", "sizes", "sums", "indices", "counts", "no-scatter")


@pytest.fixture(scope="module")
def right_file(made_once, builtin_potential: Potential) -> Path:
    """The built-in model as a native file."""
    built_library()
    name = "model.m3c.safetensors"

    def make(folder: Path) -> None:
        write_native_artefact(folder / name, builtin_potential.with_form(FACTORIZED))

    return made_once("native-builtin", make) / name


def rewritten(source: Path, path: Path, edit: Callable[[Tensors], None], **fields: Any) -> Path:
    """What a wrong exporter would write; ``fields`` are those of the manifest beside the file."""
    tensors = {name: values.copy() for name, values in load_file(source).items()}
    with safe_open(source, "np") as opened:
        metadata = opened.metadata()
    edit(tensors)
    content = save(tensors, metadata)
    document = {**json.loads(manifest_path(source).read_bytes()), **fields}
    document["artefact_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    manifest_path(path).write_text(json.dumps(document), encoding="utf-8")
    return path


def times(factor: float, name: str) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        tensors[name] = (tensors[name] * factor).astype(tensors[name].dtype)

    return edit


def half(*beginnings: str) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        for name, values in tensors.items():
            if name.startswith(beginnings) and values.ndim > 1:
                tensors[name] = values.astype(np.float16).astype(values.dtype)

    return edit


def eight_bits(tensors: Tensors) -> None:
    values = tensors["network.blocks.1.edge_update.value.1.weight"]
    step = np.abs(values).max() / 127
    values[:] = np.round(values / step) * step


def silicon_moved(tensors: Tensors) -> None:
    row = tensors["network.embedding.weight"][1]
    row += 0.01 * np.linalg.norm(row) * np.sign(np.sin(np.arange(len(row)))) / len(row) ** 0.5


def exchanged(tensors: Tensors) -> None:
    rows = tensors["network.embedding.weight"]
    rows[:] = rows[::-1].copy()


def without_channel(tensors: Tensors) -> None:
    tensors["network.blocks.0.three_body.update.value.0.weight"][:, 3] = 0.0


def step_in_table(tensors: Tensors) -> None:
    table = tensors["core.edges"]
    table[len(table) // 5 : len(table) // 5 + 3, 0] *= 1.001


def dearer_readout(tensors: Tensors) -> None:
    tensors["network.readout.value.2.bias"] += 1e-3


#: What is wrong, and a check that must refuse it. (The gate of the first edge update would be no
#: example: it is open so wide in this model that 2 % of its weights are 5e-6 eV/Å.)
WRONG: dict[str, tuple[str, Callable[[Tensors], None]]] = {
    "a gate x 1.02": (
        "parity.export-force",
        times(1.02, "network.blocks.1.edge_update.gate.0.weight"),
    ),
    "a layer of the last block x 1.003": (
        "parity.export-force",
        times(1.003, "network.blocks.1.node_update.value.1.weight"),
    ),
    "a radial weight x 1.001": (
        "parity.export-energy",
        times(1.001, "network.blocks.0.node_weight.weight"),
    ),
    "scales x 1.0002": ("parity.export-force", times(1.0002, "network.scales")),
    "gates of the three-body block open": (
        "parity.export-energy",
        times(0.0, "network.blocks.0.three_body.atom_gate.weight"),
    ),
    "a channel of the three-body block zero": ("parity.export-force", without_channel),
    "Si's embedding moved by 1 %": ("parity.export-atom-energy", silicon_moved),
    "embeddings exchanged": ("parity.export-stress", exchanged),
    "a bias of the readout + 1e-3": ("parity.export-energy", dearer_readout),
    "weights of half precision": ("parity.export-force", half("network.blocks")),
    "a layer of 8 bits": ("parity.export-force", eight_bits),
    "tables of half precision": ("parity.export-force", half("core.")),
    "triplet table x 1.0005": ("parity.export-force", times(1.0005, "core.triplets")),
    "a step in the table of edges": ("parity.pairs", step_in_table),
}


def test_a_right_file_passes(real_gate, run_check, right_file, small_zoo) -> None:
    context = real_gate(right_file, zoo=small_zoo)
    file = context.candidate.open()
    for name in (*EXPORT_ERRORS, "parity.pairs"):
        assert run_check(PARITY, name, context, file)[0] is Verdict.PASS, name
    found = {c.id: run_check(ARTEFACT, c.id, context, file)[0] for c in ARTEFACT}
    no_graph = {f"artefact.{name}" for name in _OF_GRAPHS}
    assert {name for name, verdict in found.items() if verdict is Verdict.SKIPPED} == no_graph
    assert {v for name, v in found.items() if name not in no_graph} == {Verdict.PASS}


def test_wrong_numbers_are_refused_by_name(
    real_gate, run_check, right_file, small_zoo, tmp_path
) -> None:
    context, passed = real_gate(right_file, zoo=small_zoo), []
    for what, (name, edit) in WRONG.items():
        wrong = rewritten(right_file, tmp_path / "wrong.m3c.safetensors", edit)
        with_wrong = exported(wrong, threads=1).open()
        if run_check(PARITY, name, context, with_wrong)[0] is not Verdict.FAIL:
            passed.append(what)
    assert passed == []


def test_a_manifest_that_was_changed_is_refused(real_gate, run_check, right_file, tmp_path) -> None:
    wrong = rewritten(right_file, tmp_path / "wrong.m3c.safetensors", lambda _: None, cutoff=4.9)
    context = real_gate(wrong)
    assert run_check(ARTEFACT, "artefact.metadata", context, None)[0] is Verdict.FAIL
    assert run_check(ARTEFACT, "artefact.facts", context, None)[0] is Verdict.FAIL
