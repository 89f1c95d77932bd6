from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from m3compress import Calculator
from m3compress.engines.artefact import load_artefact
from m3compress.engines.open import load_engine
from m3compress.errors import ArtefactError, MissingDependencyError


def edit(path: Path, **changes: Any) -> None:
    """Change fields of the manifest beside a file, or remove those given as ``...``."""
    beside = path.with_suffix(".json")
    document = {**json.loads(beside.read_text(encoding="utf-8")), **changes}
    kept = {key: value for key, value in document.items() if value is not ...}
    beside.write_text(json.dumps(kept), encoding="utf-8")


def replace_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    edit(path, artefact_sha256=hashlib.sha256(content).hexdigest())


def test_the_file_and_its_manifest_open_the_same_artefact(artefact: Path) -> None:
    opened = load_artefact(artefact)
    assert opened.path == artefact
    assert load_artefact(artefact.with_suffix(".json")) == opened
    assert load_artefact(str(artefact)) == opened


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="there is no file"):
        load_artefact(tmp_path / "model.m3c.onnx")
    with pytest.raises(ArtefactError, match="there is no file"):
        load_artefact(tmp_path)


def test_missing_manifest(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    with pytest.raises(ArtefactError, match=r"no model\.m3c\.json beside"):
        load_artefact(copied)


def test_missing_graph_of_a_manifest(copied: Path) -> None:
    copied.unlink()
    with pytest.raises(ArtefactError, match="beside"):
        load_artefact(copied.with_suffix(".json"))


def test_flipped_byte(copied: Path) -> None:
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    with pytest.raises(ArtefactError, match="damaged"):
        load_artefact(copied)


def test_truncated_file(copied: Path) -> None:
    copied.write_bytes(copied.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        load_artefact(copied)


def test_other_schema_version(copied: Path) -> None:
    edit(copied, schema_version=2)
    with pytest.raises(ArtefactError, match="schema version 2, this m3compress reads 1") as caught:
        load_artefact(copied)
    assert "m3compress 0" in str(caught.value.hint)


def test_a_foreign_file_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    with pytest.raises(ArtefactError, match="not an exported file"):
        load_artefact(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"{}", b"null", b'"\xff"', b"[" * 10**5, b'{"schema_version": 1}'],
)
def test_a_manifest_that_is_none(copied: Path, content: bytes) -> None:
    copied.with_suffix(".json").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"JSON|not an m3compress manifest"):
        load_artefact(copied)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elements": ["H", "O"]}, "5 element energies for 2 elements"),
        ({"elements": ["H", "O", "Na", "Si", "Si"]}, "one twice"),
        ({"elements": ["H", "O", "Na", "Si", "Xx"]}, "not a chemical element"),
        ({"elements": [], "element_energies": []}, "no element"),
        ({"element_energies": [0, 0, float("nan"), 0, 0]}, "not finite"),
        ({"cutoff": -5.0}, "cutoff"),
        ({"cutoff": ...}, "cutoff"),
        ({"surprise": 1}, "surprise"),
        ({"outputs": []}, "outputs"),
        ({"artefact_sha256": None}, "no hash"),
        ({"backend": "tensorrt"}, "for tensorrt"),
        ({"gate": {"status": "passed", "report_sha256": None}}, "hash of its report"),
    ],
)
def test_a_manifest_that_contradicts_itself(
    copied: Path, changes: dict[str, Any], message: str
) -> None:
    edit(copied, **changes)
    with pytest.raises(ArtefactError, match=message) as caught:
        load_artefact(copied)
    assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [{"elements": ["O", "H", "Na", "Si", "Cl"]}, {"cutoff": 4.5}, {"energy_offset": 0.0}],
)
def test_a_manifest_that_contradicts_the_file(copied: Path, changes: dict[str, Any]) -> None:
    edit(copied, **changes)
    with pytest.raises(ArtefactError, match=f"disagree on {next(iter(changes))}"):
        load_engine(copied)


def test_a_gate_stamp_beside_the_file_is_no_contradiction(copied: Path) -> None:
    edit(copied, gate={"status": "passed", "report_sha256": "0" * 64})
    assert load_engine(copied, threads=1).manifest.gate.status == "passed"


def test_not_onnx(copied: Path) -> None:
    replace_content(copied, b"certainly not a protobuf")
    with pytest.raises(ArtefactError, match="cannot load"):
        load_engine(copied)


def test_onnx_of_another_program(copied: Path) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([node], "other", [x], [y])
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    replace_content(copied, model.SerializeToString())
    with pytest.raises(ArtefactError, match="expected"):
        load_engine(copied)


def test_onnx_without_a_manifest_inside(copied: Path) -> None:
    model = onnx.load(copied)
    del model.metadata_props[:]
    replace_content(copied, model.SerializeToString())
    with pytest.raises(ArtefactError, match="holds no manifest"):
        load_engine(copied)


def test_bad_device_and_threads(artefact: Path) -> None:
    with pytest.raises(ValueError, match="tpu"):
        load_engine(artefact, device="tpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads is 0"):
        load_engine(artefact, threads=0)


def test_no_silent_fallback_to_the_cpu(artefact: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(MissingDependencyError, match="no CUDA provider") as caught:
        Calculator(artefact, device="cuda")
    assert "m3compress[gpu]" in str(caught.value.hint)
