"""The toolkit's own checkpoint: what goes in comes out, and damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from safetensors import safe_open
from safetensors.torch import save_file

from m3compress.errors import CheckpointError, OutputExistsError
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers import native
from m3compress.models.readers.native import (
    METADATA_KEY,
    description_path,
    read_native,
    write_native,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_native_files_read_back_the_same(
    dtype: torch.dtype, unusual_potential: Potential, tmp_path: Path, structures: dict[str, Atoms]
) -> None:
    potential = unusual_potential.to(dtype)
    path = tmp_path / "model.m3c.safetensors"
    write_native(potential, path)
    found = read_native(path)
    assert found.config == potential.config
    assert found.form == potential.form
    assert found.energy_offset == potential.energy_offset
    assert np.array_equal(found.element_energies, potential.element_energies)
    for name, value in potential.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[name], value.to(torch.float64))
    atoms = structures["mixed"]
    a, b = evaluate(found, atoms), evaluate(potential.to(torch.float64), atoms)
    # Both have their bases in float64: `to` makes them anew, as reading does.
    assert a.energy == pytest.approx(b.energy, abs=1e-12)


def test_native_files_say_where_the_weights_came_from(
    unusual_potential: Potential, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.m3c.safetensors", tmp_path / "b.m3c.safetensors"
    write_native(unusual_potential, first)
    write_native(read_native(first), second)
    provenance = read_native(second).provenance
    assert provenance.format == "native"
    assert provenance.path == str(second)
    assert provenance.evidence["why"] == "a test"
    assert provenance.evidence["source"]["format"] == "random", "the first origin is kept"


def test_native_files_keep_domain_and_record(unusual_potential: Potential, tmp_path: Path) -> None:
    elements = unusual_potential.elements
    pair = f"{elements[0]}-{elements[0]}"
    told = replace(unusual_potential.provenance, shortest={pair: 1.5}, record={"by": "a test"})
    write_native(replace(unusual_potential, provenance=told), tmp_path / "a.m3c.safetensors")
    found = read_native(tmp_path / "a.m3c.safetensors").provenance
    assert (found.shortest, found.record) == ({pair: 1.5}, {"by": "a test"})
    wrong = replace(told, shortest={"Xx-Xx": 1.5})
    with pytest.raises(CheckpointError, match="no pair of elements of the model"):
        write_native(replace(unusual_potential, provenance=wrong), tmp_path / "b.m3c.safetensors")
    assert not (tmp_path / "b.m3c.safetensors").exists()


def test_native_tensors_are_as_narrow_as_they_can_be(
    unusual_potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(unusual_potential.to(torch.float32).to(torch.float64), path)
    with safe_open(path, framework="pt") as stream:
        kinds = {name: stream.get_tensor(name).dtype for name in stream.keys()}  # noqa: SIM118
    assert kinds.pop("element_energies") == torch.float64
    assert set(kinds.values()) == {torch.float32}
    write_native(unusual_potential, path, force=True)
    with safe_open(path, framework="pt") as stream:
        assert stream.get_tensor("network.embedding.weight").dtype == torch.float64


def test_the_description_beside_a_native_file_is_its_metadata(
    unusual_potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(unusual_potential, path)
    assert description_path(path).name == "model.m3c.model.json"
    beside = json.loads(description_path(path).read_text(encoding="utf-8"))
    with safe_open(path, framework="pt") as stream:
        inside = json.loads(stream.metadata()[METADATA_KEY])
    assert beside == inside
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model.m3c.model.json",
        "model.m3c.safetensors",
    ]


def test_native_files_are_not_overwritten_unasked(
    unusual_potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="exists"):
        write_native(unusual_potential, path)
    assert path.read_text() == "precious"
    write_native(unusual_potential, path, force=True)
    assert read_native(path).config == unusual_potential.config


def test_a_native_file_that_does_not_read_back_replaces_nothing(
    unusual_potential: Potential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    path.write_text("precious")
    monkeypatch.setattr(native, "_compact", lambda value: value.to(torch.float16))
    with pytest.raises(CheckpointError, match="does not read back"):
        write_native(unusual_potential, path, force=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_native_needs_its_suffix_its_folder_and_valid_json(
    unusual_potential: Potential, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="does not end in"):
        write_native(unusual_potential, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        write_native(unusual_potential, tmp_path / "nowhere" / "model.m3c.safetensors")
    infinite = replace(unusual_potential, energy_offset=float("nan"))
    with pytest.raises(CheckpointError, match="JSON"):
        write_native(infinite, tmp_path / "model.m3c.safetensors")


def _native_parts(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        return tensors, json.loads(stream.metadata()[METADATA_KEY])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t, d: d.update(schema_version=2), "schema version 2, expected 1"),
        (lambda t, d: d.pop("schema_version"), "schema version None"),
        (lambda t, d: d.pop("form"), "lacks form"),
        (lambda t, d: d["config"].pop("cutoff"), "cutoff"),
        (lambda t, d: d["config"].update(color="red"), "color"),
        (lambda t, d: d["config"].update(edge_basis="fourier"), "edge_basis is 'fourier'"),
        (lambda t, d: d["config"].update(message_activation="relu"), "message_activation"),
        (lambda t, d: d["config"].update(max_n=2), "shape"),
        (lambda t, d: d["config"].update(max_n=2.5), "max_n is 2.5"),
        (lambda t, d: d["config"].update(max_n=10**9), "max_n is 1000000000"),
        (lambda t, d: d["config"].update(cutoff="far"), "configuration"),
        (lambda t, d: d["config"]["convention"].update(gate_atom="neighbor"), "convention"),
        (lambda t, d: d.update(config=[]), "not a JSON object"),
        (lambda t, d: d["form"].update(name="distorted"), "three-body form"),
        (lambda t, d: d["form"].update(fraction=1.5), "three-body form"),
        (lambda t, d: d.update(form="removed"), "three-body form"),
        (lambda t, d: d.update(energy_offset="0"), "energy_offset"),
        (lambda t, d: d.update(provenance={}), "provenance"),
        (lambda t, d: t.pop("element_energies"), "element_energies"),
        (lambda t, d: t.update(element_energies=torch.zeros(3)), "element_energies"),
        (lambda t, d: t["element_energies"].fill_(float("nan")), "finite"),
        (lambda t, d: t["network.scales"].fill_(float("inf")), "not finite"),
        (lambda t, d: t.pop("network.scales"), "lacks scales"),
        (lambda t, d: t.update(more=torch.ones(1)), "unexpected"),
    ],
)
def test_damaged_native_files_are_refused(
    damage: Callable[[Any, Any], Any], message: str, unusual_potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(unusual_potential, path)
    tensors, document = _native_parts(path)
    damage(tensors, document)
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(document)})
    with pytest.raises(CheckpointError, match=message):
        read_native(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_native_files_are_refused(
    share: float, unusual_potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(unusual_potential, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="safetensors"):
        read_native(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {METADATA_KEY: "{"}])
def test_safetensors_of_others_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="metadata"):
        read_native(tmp_path / "x.safetensors")
