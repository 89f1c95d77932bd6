"""Files and systems that make no sense: one clear error each, and never the end of the process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from native_library import core_system
from safetensors.torch import load_file, save_file

from m3compress import Calculator
from m3compress.contract.backends import manifest_path
from m3compress.contract.files import sha256_of
from m3compress.engines.native.core import Core
from m3compress.engines.native.system import CoreSystem
from m3compress.errors import ArtefactError, M3CompressError, StructureError
from m3compress.models.potential import Potential

NativeModel = Callable[[str], tuple[Path, Potential]]
Edit = Callable[[dict[str, torch.Tensor], dict[str, Any]], None]


@pytest.fixture
def copied(native_model: NativeModel, tmp_path: Path) -> Path:
    path, _ = native_model("tf")
    for file in (path, manifest_path(path)):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / path.name


def edit(path: Path, change: Edit) -> None:
    """Change tensors or description of a file; its hash is made to fit."""
    size = int.from_bytes(path.read_bytes()[:8], "little")
    metadata = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]
    tensors, document = load_file(path), json.loads(metadata["m3compress"])
    change(tensors, document)
    metadata["m3compress"] = json.dumps(document)
    save_file(tensors, path, metadata=metadata)
    manifest = json.loads(manifest_path(path).read_text())
    manifest["artefact_sha256"] = sha256_of(path)
    manifest_path(path).write_text(json.dumps(manifest))


#: Place of a number in ``core.sizes``.
SIZES = ("format", "cutoff", "reach", "offset", "n_elements", "max_n", "max_l", "n_blocks")
SIZES += ("node_width", "edge_width", "edge_basis", "silu", "gate", "messages")


def size(name: str, value: float) -> Edit:
    def change(tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> None:
        tensors["core.sizes"][SIZES.index(name)] = value

    return change


def tensor(name: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    def change(tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> None:
        tensors[name] = make(tensors[name])

    return change


def without(name: str) -> Edit:
    def change(tensors: dict[str, torch.Tensor], document: dict[str, Any]) -> None:
        del tensors[name]

    return change


def with_nan(value: torch.Tensor) -> torch.Tensor:
    changed = value.clone()
    changed.view(-1)[-1] = float("nan")
    return changed


WRONG: dict[str, tuple[Edit, str]] = {
    "other elements": (tensor("core.symbols", lambda x: x.flip(0)), "disagree on the elements"),
    "fewer elements": (size("n_elements", 1), "another shape"),
    "another cutoff": (size("cutoff", 5.5), "does not end at the cutoff"),
    "another three-body cutoff": (size("reach", 3.0), "does not end at the cutoff"),
    "a cutoff of nothing": (size("cutoff", 0), "the size cutoff is 0"),
    "a number that is none": (size("max_n", float("nan")), "core.sizes.*not finite"),
    "no momenta": (size("max_l", 0), "the size max_l is 0"),
    "too wide": (size("node_width", 100_000), "the size node_width"),
    "another width": (size("edge_width", 13), "another shape"),
    "more blocks": (size("n_blocks", 3), "layers of network.blocks.2"),
    "fewer blocks": (size("n_blocks", 1), "disagree on the number of blocks"),
    "no such flag": (size("silu", 2), "the size silu_on_radial"),
    "messages that exclude triplets": (size("messages", 0), "the size messages_to_center"),
    "another format": (size("format", 1), "the size format is 1"),
    "of an older version": (without("core.sizes"), "an older one"),
    "fewer sizes": (tensor("core.sizes", lambda x: x[:-1].clone()), "core.sizes has another shape"),
    "fewer layers": (without("network.readout.value.2.weight"), "do not end in its width"),
    "half a layer": (without("network.readout.gate.1.weight"), "no tensor"),
    "weights that are no numbers": (tensor("network.scales", with_nan), "not finite"),
    "whole numbers": (tensor("network.scales", lambda x: x.to(torch.int32)), "I32"),
    "a table of nothing": (tensor("core.edges", lambda x: x[:0].clone()), "core.edges"),
    "a table with fewer columns": (
        tensor("core.triplets", lambda x: x[..., 1:].clone()),
        "core.triplets",
    ),
    "no table": (without("core.edges"), "no tensor core.edges"),
    "no table of triplets": (without("core.triplets"), "core.triplets"),
    "other energies": (tensor("element_energies", lambda x: x + 1), "energies of the elements"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_contradicts_itself(copied: Path, name: str) -> None:
    change, message = WRONG[name]
    edit(copied, change)
    with pytest.raises(ArtefactError, match=message) as caught:
        Calculator(copied, threads=1)
    assert caught.value.hint


def test_a_changed_byte_is_a_wrong_hash(copied: Path) -> None:
    content = bytearray(copied.read_bytes())
    content[-5] ^= 1
    copied.write_bytes(content)
    with pytest.raises(ArtefactError, match="damaged"):
        Calculator(copied)


def test_whatever_is_cut_off_or_garbled_is_an_error(
    native_model: NativeModel, tmp_path: Path
) -> None:
    path, _ = native_model("tf")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    damaged = tmp_path / "damaged.m3c.safetensors"
    for length in (0, 3, 8, 9, header - 1, header, header + 10, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(ArtefactError):
            Core(damaged, threads=1)
    refused = 0
    for _ in range(300):
        garbled = bytearray(content)
        for place in rng.integers(0, header, rng.integers(1, 4)):
            garbled[place] = rng.integers(0, 256)
        damaged.write_bytes(garbled)
        try:
            Core(damaged, threads=1).close()
        except ArtefactError:
            refused += 1
    assert refused > 150  # the others changed what the core does not read, such as evidence


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    huge = tmp_path / "huge.m3c.safetensors"
    for header in (b"{" * 5000, b"[" * 5000, b'{"a":' * 5000, b'{"__metadata__":{"m3compress":"'):
        huge.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(ArtefactError):
            Core(huge, threads=1)
    huge.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ArtefactError, match="truncated"):
        Core(huge, threads=1)


def test_a_model_that_was_not_exported(copied: Path) -> None:
    manifest_path(copied).unlink()
    with pytest.raises(ArtefactError, match=r"no model\.m3c\.native\.json") as caught:
        Calculator(copied)
    assert "--to native" in str(caught.value.hint)


def test_options_that_do_not_exist(copied: Path, native_model: NativeModel) -> None:
    with pytest.raises(ValueError, match="threads is 0"):
        Calculator(copied, threads=0)
    with pytest.raises(M3CompressError, match=r"float16.*float32, float64"):
        Calculator(copied, precision="float16")  # type: ignore[arg-type]
    with pytest.raises(M3CompressError, match="memory mode"):
        Calculator(copied, memory="less")  # type: ignore[arg-type]
    with pytest.raises(ArtefactError, match="no build"):
        Core(copied, isa="sse9")


def test_structures_without_an_energy(copied: Path) -> None:
    calculator = Calculator(copied, threads=1)
    with pytest.raises(StructureError, match="no atoms"):
        calculator.evaluate(Atoms())
    with pytest.raises(StructureError, match="not finite"):
        calculator.evaluate(Atoms("H2", positions=[[0, 0, 0], [0, 0, np.nan]]))
    with pytest.raises(StructureError, match="apart"):
        calculator.evaluate(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1e-6]]))
    with pytest.raises(StructureError, match="does not know"):
        calculator.evaluate(Atoms("Xe"))
    alone = calculator.evaluate(Atoms("O"))
    assert np.isfinite(alone.energy)
    assert not alone.forces.any()


def changed(system: CoreSystem, **arrays: np.ndarray) -> CoreSystem:
    values = {name: getattr(system, name).copy() for name in system.__slots__}
    return CoreSystem(**{**values, **arrays})


def test_systems_that_make_no_sense(
    native_model: NativeModel, structures: dict[str, Atoms]
) -> None:
    path, potential = native_model("tf")
    core, system = Core(path, threads=2), core_system(potential, structures["tiny"], "float32")
    vectors = system.vectors.copy()
    vectors[3, 1] = np.nan
    wrong = {
        "no atoms": changed(
            system,
            species=system.species[:0],
            begins=system.begins[:1],
            neighbors=system.neighbors[:0],
            vectors=system.vectors[:0],
        ),
        "apart": changed(system, vectors=vectors),
        "0.0.* apart": changed(system, vectors=0 * system.vectors),
        "element number 8": changed(system, species=system.species + 5),
        "are no neighbors": changed(system, neighbors=system.neighbors + 1),
        "-1 are no neighbors": changed(system, neighbors=system.neighbors - 1),
        "do not fit": changed(system, vectors=system.vectors.astype(np.float64)),
    }
    for message, one in wrong.items():
        with pytest.raises(M3CompressError, match=message):
            core.evaluate(one)
    backwards = np.array([0, 60, 30, len(system.neighbors)], dtype=np.int64)
    with pytest.raises(M3CompressError, match="edges of atom 1 are not a range"):
        core.evaluate(changed(system, begins=backwards, species=np.zeros(3, np.int32)))
    assert np.isfinite(core.evaluate(system).forces).all()


def test_a_budget_chooses_the_mode_or_is_too_small(
    native_model: NativeModel, structures: dict[str, Atoms]
) -> None:
    path, potential = native_model("matgl-4.1")
    system = core_system(potential, structures["salt"], "float32")
    needs = {}
    for mode in ("keep", "recompute"):
        with Core(path, threads=1, memory=mode) as core:
            core.evaluate(system)
            needs[mode] = core.bytes
    assert needs["recompute"] < needs["keep"] / 2
    for budget, keeps in ((1.01 * needs["keep"], True), (1.01 * needs["recompute"], False)):
        with Core(path, threads=1, budget=budget) as core:
            core.evaluate(system)
            assert core.keeps == keeps
    with Core(path, threads=1, budget=1000.0) as core, pytest.raises(M3CompressError) as caught:
        core.evaluate(system)
    assert "budget of 0.001000 MB is too small" in caught.value.message
