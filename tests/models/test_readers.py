"""Reading what is sound, and refusing what is not: by name, with a hint, and without running it."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from safetensors import safe_open
from safetensors.torch import save_file

from m3compress.errors import (
    CheckpointError,
    ConventionError,
    M3CompressError,
    MissingDependencyError,
    OutputExistsError,
    UnsupportedModelError,
)
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.readers import native
from m3compress.models.readers.arrays import load_torch
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.mattersim import read_mattersim
from m3compress.models.readers.native import (
    METADATA_KEY,
    description_path,
    read_native,
    write_native,
)
from m3compress.models.readers.open import read_model
from m3compress.models.readers.tensorflow import read_tensorflow
from m3compress.models.three_body import ThreeBodyForm

TENSORFLOW = "M3GNet-MP-2021.2.8-EFS-tensorflow"


class Planter:
    """Pickles as a call that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture(autouse=True)
def _no_borrowed_trust() -> Iterator[None]:
    """matgl, where another test imports it, allows torch.load more than this package does."""
    borrowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.add_safe_globals(borrowed)


@pytest.fixture
def matgl_folder(shared: Path, tmp_path: Path) -> Path:
    """A copy of a real matgl model to damage."""
    return _writable_copy(shared / "models" / "M3GNet-r2SCAN-NaBH", tmp_path / "matgl")


def _writable_copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        shutil.copyfile(file, target / file.name)
    return target


def _change(path: Path, change: Callable[[Any], Any]) -> None:
    """Load a ``.pt``, change it in place (or replace it), and save it again."""
    content = torch.load(path, weights_only=True)
    changed = change(content)
    torch.save(content if changed is None else changed, path)


# -------------------------------------------------------------------------------------- load_torch


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 half a zip"])
def test_a_file_that_is_no_pytorch_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt is (empty|not a readable)"):
        load_torch(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_torch(tmp_path / "nothing.pt")


@pytest.mark.parametrize("legacy", [True, False], ids=["bare pickle", "zip"])
def test_a_hostile_pickle_is_refused_and_not_run(legacy: bool, tmp_path: Path) -> None:
    path, planted = tmp_path / "state.pt", tmp_path / "planted"
    if legacy:
        path.write_bytes(pickle.dumps(Planter(planted)))
    else:
        torch.save({"weight": torch.ones(2), "extra": Planter(planted)}, path)
    with pytest.raises(CheckpointError, match="not executed|not a readable"):
        load_torch(path)
    assert not planted.exists()
    torch.load(path, weights_only=False) if not legacy else pickle.loads(path.read_bytes())
    assert planted.exists(), "the file was harmless, so the test showed nothing"


def test_numpy_numbers_are_read_in_the_spelling_of_both_numpy_eras(tmp_path: Path) -> None:
    new, old = tmp_path / "new.pt", tmp_path / "old.pt"
    torch.save({"refs": np.arange(3.0), "mean": np.float32(1.5)}, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            target.writestr(
                name, source.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            )
    assert old.read_bytes() != new.read_bytes()
    for path in (new, old):
        found = load_torch(path)
        assert found["refs"].tolist() == [0, 1, 2]
        assert found["mean"] == 1.5


def test_numpy_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    torch.save({"refs": np.array([{}], dtype=object)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="not executed"):
        load_torch(tmp_path / "model.pt")


# ------------------------------------------------------------------------------------------- matgl


def test_matgl_files_are_read_from_the_folder_and_from_each_file(matgl_folder: Path) -> None:
    whole = read_matgl(matgl_folder)
    assert whole.config.elements == ("H", "B", "Na")
    for name in ("model.pt", "state.pt", "model.json"):
        assert read_matgl(matgl_folder / name).config == whole.config


@pytest.mark.parametrize("name", ["model.pt", "state.pt", "model.json"])
def test_matgl_files_without_their_siblings_are_refused(name: str, matgl_folder: Path) -> None:
    (matgl_folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {re.escape(name)}") as caught:
        read_matgl(matgl_folder)
    assert "side by side" in str(caught.value.hint)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("name", ["model.pt", "state.pt"])
def test_truncated_matgl_files_are_refused(share: float, name: str, matgl_folder: Path) -> None:
    content = (matgl_folder / name).read_bytes()
    (matgl_folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=re.escape(name)):
        read_matgl(matgl_folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_model_json_that_describes_nothing_is_refused(content: str, matgl_folder: Path) -> None:
    (matgl_folder / "model.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"model\.json"):
        read_matgl(matgl_folder)


WEIGHT = "model.graph_layers.1.conv.edge_update_func.layers.0.weight"


def _poison(state: dict[str, torch.Tensor]) -> None:
    state[WEIGHT][0, 0] = float("nan")


def _transpose(state: dict[str, torch.Tensor]) -> None:
    state[WEIGHT] = state[WEIGHT].T


def _lose(state: dict[str, torch.Tensor]) -> None:
    del state[WEIGHT]


def _add(state: dict[str, torch.Tensor]) -> None:
    state["model.attention.weight"] = torch.ones(2)


def _add_block(state: dict[str, torch.Tensor]) -> None:
    state[WEIGHT.replace("layers.1", "layers.9")] = state[WEIGHT]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_poison, r"blocks\.1\.edge_update\.value\.0\.weight holds values that are not finite"),
        (_transpose, r"has shape \(192, 64\), but the configuration needs \(64, 192\)"),
        (_lose, r"lacks blocks\.1\.edge_update\.value\.0\.weight"),
        (_add, r"unexpected tensor model\.attention\.weight|unexpected tensor attention\.weight"),
        (_add_block, r"unexpected blocks\.9"),
        (lambda state: list(state), "state_dict"),
    ],
    ids=["NaN", "shape", "missing", "surplus", "surplus block", "a list"],
)
def test_damaged_matgl_weights_are_refused(
    damage: Callable[[Any], Any], message: str, matgl_folder: Path
) -> None:
    _change(matgl_folder / "state.pt", damage)
    with pytest.raises(CheckpointError, match=message):
        read_matgl(matgl_folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("nblocks", 4, "lacks blocks.3"),
        ("max_n", 4, "shape"),
        ("max_n", 10**9, "max_n is 1000000000"),
        ("units", 10**9, "hidden width"),
        ("cutoff", 3.0, "three-body cutoff"),
        ("cutoff", float("nan"), "cutoff is nan"),
        ("element_types", ["H"], "shape"),
        ("element_types", None, "model.pt lacks or garbles"),
    ],
)
def test_matgl_arguments_that_contradict_the_weights_are_refused(
    name: str, value: Any, message: str, matgl_folder: Path
) -> None:
    _change(
        matgl_folder / "model.pt", lambda found: found["model"]["init_args"].update({name: value})
    )
    with pytest.raises(CheckpointError, match=message):
        read_matgl(matgl_folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use_phi", True),
        ("is_intensive", True),
        ("include_state", True),
        ("task_type", "classification"),
        ("rbf_type", "Gaussian"),
        ("activation_type", "tanh"),
        ("ntargets", 3),
    ],
)
def test_variants_of_m3gnet_are_refused_by_name(name: str, value: Any, matgl_folder: Path) -> None:
    _change(
        matgl_folder / "model.pt", lambda found: found["model"]["init_args"].update({name: value})
    )
    with pytest.raises(UnsupportedModelError, match=name):
        read_matgl(matgl_folder)


@pytest.mark.parametrize("network", ["CHGNet", "TensorNet", "MEGNet", "SO3Net", "QET"])
def test_other_networks_are_refused_by_name(network: str, matgl_folder: Path) -> None:
    _change(matgl_folder / "model.pt", lambda found: found["model"].update({"@class": network}))
    with pytest.raises(UnsupportedModelError, match=network):
        read_matgl(matgl_folder)


def test_a_repulsive_potential_is_refused(matgl_folder: Path) -> None:
    _change(matgl_folder / "model.pt", lambda found: found.update({"calc_repuls": True}))
    with pytest.raises(UnsupportedModelError, match="repulsion"):
        read_matgl(matgl_folder)


def test_element_energies_saved_as_a_numpy_array_are_read(matgl_folder: Path) -> None:
    references = np.array([-1.0, 2.0, 3.5])
    _change(matgl_folder / "model.pt", lambda found: found.update({"element_refs": references}))
    assert read_matgl(matgl_folder).element_energies.tolist() == references.tolist()


def test_a_compiled_matgl_potential_is_read(matgl_folder: Path) -> None:
    plain = read_matgl(matgl_folder).network.state_dict()
    _change(
        matgl_folder / "state.pt",
        lambda state: {k.replace("model.", "model._orig_mod."): v for k, v in state.items()},
    )
    compiled = read_matgl(matgl_folder).network.state_dict()
    assert all(torch.equal(compiled[name], value) for name, value in plain.items())


# -------------------------------------------------------------------------------------- TensorFlow


@pytest.fixture
def tensorflow_folder(shared: Path, tmp_path: Path) -> Path:
    return _writable_copy(shared / "models" / TENSORFLOW, tmp_path / "tensorflow")


def test_tensorflow_files_without_their_siblings_are_refused(tensorflow_folder: Path) -> None:
    (tensorflow_folder / "m3gnet.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match="data-00000"):
        read_tensorflow(tensorflow_folder)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('\\"max_n\\": 3', '\\"max_n\\": 4', CheckpointError, "shape"),
        ('\\"n_blocks\\": 3', '\\"n_blocks\\": 2', CheckpointError, "unexpected"),
        ('\\"units\\": 64', '\\"unites\\": 64', CheckpointError, "units"),
        ("M3GNet", "MEGNet", UnsupportedModelError, "MEGNet"),
        (
            '\\"include_states\\": false',
            '\\"include_states\\": true',
            UnsupportedModelError,
            "include_states",
        ),
    ],
)
def test_tensorflow_configurations_that_do_not_fit_are_refused(
    old: str, new: str, error: type[Exception], message: str, tensorflow_folder: Path
) -> None:
    path = tensorflow_folder / "m3gnet.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(error, match=message):
        read_tensorflow(tensorflow_folder)


# --------------------------------------------------------------------------------------- MatterSim


def _mattersim_checkpoint(**changed: Any) -> dict[str, Any]:
    """The layout of mattersim 1.2.3 with 8 units, 1 block and 5 elements."""
    arguments = {
        "num_blocks": 1, "units": 8, "max_l": 4, "max_n": 4, "cutoff": 5.0, "max_z": 5,
        "threebody_cutoff": 4.0, **changed,
    }  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    units, basis = 8, 4
    state = {"rbf.r_max": torch.tensor(5.0), "sbf.coef": torch.zeros(4, 9, 4)}

    def linear(name: str, n_in: int, n_out: int, bias: bool = True) -> None:
        state[f"{name}.linear.weight"] = torch.randn(n_out, n_in, generator=generator)
        if bias:
            state[f"{name}.linear.bias"] = torch.randn(n_out, generator=generator)

    linear("edge_encoder.mlp.0", basis, units, bias=False)
    linear("atom_embedding.mlp.0", 6, units, bias=False)
    block = "graph_conv.0"
    linear(f"{block}.three_body.atom_mlp", units, basis**2)
    linear(f"{block}.edge_layer_atom", basis, units, bias=False)
    linear(f"{block}.edge_layer_edge", basis, units, bias=False)
    for branch in ("g", "sigma"):
        linear(f"{block}.three_body.edge_gate_mlp.{branch}.0", basis**2, units, bias=False)
        for kind in ("atom", "edge"):
            linear(f"{block}.gated_mlp_{kind}.{branch}.0", 3 * units, units)
            linear(f"{block}.gated_mlp_{kind}.{branch}.1", units, units)
        for layer, width in enumerate((units, units, 1)):
            linear(f"final.{branch}.{layer}", units, width)
    state["normalizer.scale"] = torch.arange(6.0) + 1
    state["normalizer.shift"] = -torch.arange(6.0)
    return {"model_name": "m3gnet", "model": state, "model_args": arguments}


@pytest.fixture
def mattersim_file(tmp_path: Path) -> Path:
    path = tmp_path / "mattersim.pth"
    torch.save(_mattersim_checkpoint(), path)
    return path


def test_mattersim_rows_are_atomic_numbers(mattersim_file: Path) -> None:
    potential = read_mattersim(mattersim_file)
    assert potential.config.elements == ("H", "He", "Li", "Be", "B")
    assert potential.network.scales.tolist() == [2, 3, 4, 5, 6]
    assert potential.element_energies.tolist() == [-1, -2, -3, -4, -5]


def test_mattersim_with_a_transposed_basis_is_refused(tmp_path: Path) -> None:
    torch.save(_mattersim_checkpoint(max_n=3), tmp_path / "m.pth")
    with pytest.raises(UnsupportedModelError, match="max_n=3 and max_l=4.*SphericalBasisLayer"):
        read_mattersim(tmp_path / "m.pth")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda c: c.pop("model_args"), CheckpointError, "not a MatterSim checkpoint"),
        (lambda c: c.update(model_name="graphormer"), UnsupportedModelError, "graphormer"),
        (lambda c: c.update(model=[1]), CheckpointError, "dictionaries"),
        (lambda c: c["model_args"].pop("units"), CheckpointError, "units"),
        (lambda c: c["model_args"].update(max_z=7), CheckpointError, "shape"),
        (lambda c: c["model_args"].update(max_z=500), CheckpointError, "shape"),
        (lambda c: c["model_args"].update(cutoff=6.0), CheckpointError, "cutoff of 5"),
        (lambda c: c["model_args"].update(num_blocks=2), CheckpointError, "lacks blocks.1"),
        (lambda c: c["model_args"].update(max_n=5, max_l=5), UnsupportedModelError, "max_l=5"),
        (lambda c: c["model"].pop("normalizer.shift"), CheckpointError, "shifts"),
        (lambda c: c["model"].update(extra=torch.ones(1)), CheckpointError, "extra"),
        (
            lambda c: c["model"]["normalizer.shift"].fill_(float("nan")),
            CheckpointError,
            "finite energies",
        ),
        (
            lambda c: c["model"]["final.g.0.linear.weight"].fill_(float("inf")),
            CheckpointError,
            "not finite",
        ),
    ],
)
def test_damaged_mattersim_files_are_refused(
    damage: Callable[[Any], Any], error: type[Exception], message: str, mattersim_file: Path
) -> None:
    def change(content: Any) -> None:
        damage(content)

    _change(mattersim_file, change)
    with pytest.raises(error, match=message):
        read_mattersim(mattersim_file)


# ------------------------------------------------------------------------------------------ native


@pytest.fixture
def potential(random_potential: Callable[..., Potential]) -> Potential:
    """A potential with everything that a file must carry away from its default."""
    made = random_potential(5, "mattersim", max_l=2)
    with torch.no_grad():
        made.network.scales.copy_(torch.linspace(1, 2, 7, dtype=torch.float64))
    provenance = replace(made.provenance, evidence={"why": "a test", "numbers": [1.5, 2]})
    form = ThreeBodyForm(name="pruned", fraction=0.3, seed=9)
    return replace(made, form=form, provenance=provenance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_native_files_read_back_the_same(
    dtype: torch.dtype, potential: Potential, tmp_path: Path, structures: dict[str, Atoms]
) -> None:
    potential = potential.to(dtype)
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
    # The float32 potential was read back with bases in float64, which `to` also makes.
    assert a.energy == pytest.approx(b.energy, abs=1e-12)


def test_native_files_say_where_the_weights_came_from(potential: Potential, tmp_path: Path) -> None:
    first, second = tmp_path / "a.m3c.safetensors", tmp_path / "b.m3c.safetensors"
    write_native(potential, first)
    write_native(read_native(first), second)
    provenance = read_native(second).provenance
    assert provenance.format == "native"
    assert provenance.path == str(second)
    assert provenance.evidence["why"] == "a test"
    assert provenance.evidence["source"]["format"] == "random", "the first origin is kept"


def test_native_tensors_are_as_narrow_as_they_can_be(potential: Potential, tmp_path: Path) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(potential.to(torch.float32).to(torch.float64), path)
    with safe_open(path, framework="pt") as stream:
        kinds = {name: stream.get_tensor(name).dtype for name in stream.keys()}  # noqa: SIM118
    assert kinds.pop("element_energies") == torch.float64
    assert set(kinds.values()) == {torch.float32}
    write_native(potential, path, force=True)
    with safe_open(path, framework="pt") as stream:
        assert stream.get_tensor("network.embedding.weight").dtype == torch.float64


def test_the_description_beside_a_native_file_is_its_metadata(
    potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(potential, path)
    assert description_path(path).name == "model.m3c.model.json"
    beside = json.loads(description_path(path).read_text(encoding="utf-8"))
    with safe_open(path, framework="pt") as stream:
        inside = json.loads(stream.metadata()[METADATA_KEY])
    assert beside == inside
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "model.m3c.model.json",
        "model.m3c.safetensors",
    ]


def test_native_files_are_not_overwritten_unasked(potential: Potential, tmp_path: Path) -> None:
    path = tmp_path / "model.m3c.safetensors"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="exists"):
        write_native(potential, path)
    assert path.read_text() == "precious"
    write_native(potential, path, force=True)
    assert read_native(path).config == potential.config


def test_a_native_file_that_does_not_read_back_replaces_nothing(
    potential: Potential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    path.write_text("precious")
    monkeypatch.setattr(native, "_compact", lambda value: value.to(torch.float16))
    with pytest.raises(CheckpointError, match="does not read back"):
        write_native(potential, path, force=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_native_needs_its_suffix_its_folder_and_valid_json(
    potential: Potential, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="does not end in"):
        write_native(potential, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        write_native(potential, tmp_path / "nowhere" / "model.m3c.safetensors")
    infinite = replace(potential, energy_offset=float("nan"))
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
    damage: Callable[[Any, Any], Any], message: str, potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(potential, path)
    tensors, document = _native_parts(path)
    damage(tensors, document)
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(document)})
    with pytest.raises(CheckpointError, match=message):
        read_native(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_native_files_are_refused(
    share: float, potential: Potential, tmp_path: Path
) -> None:
    path = tmp_path / "model.m3c.safetensors"
    write_native(potential, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="safetensors"):
        read_native(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {METADATA_KEY: "{"}])
def test_safetensors_of_others_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="metadata"):
        read_native(tmp_path / "x.safetensors")


# ---------------------------------------------------------------------------------- the one way in


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Stands in for the detection of conventions; records what was requested."""
    requests: list[str | None] = []

    def decide_convention(potential: Potential, requested: str | None) -> Potential:
        requests.append(requested)
        return potential.with_convention(CONVENTIONS["matgl-dgl"], {"requested": requested})

    stand_in = types.ModuleType("m3compress.models.detection")
    stand_in.decide_convention = decide_convention
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return requests


def test_matgl_models_go_through_the_detection(
    matgl_folder: Path, decisions: list[str | None]
) -> None:
    for source in (matgl_folder, str(matgl_folder), matgl_folder / "model.json"):
        assert read_model(source).config.convention.name == "matgl-dgl"
    read_model(matgl_folder, convention="matgl-3")
    assert decisions == [None, None, None, "matgl-3"]


@pytest.mark.parametrize(
    ("known", "contradiction"), [("tf", "matgl-4.1"), ("mattersim", "tf"), ("native", "tf")]
)
def test_formats_with_a_known_convention_keep_it(
    known: str,
    contradiction: str,
    request: pytest.FixtureRequest,
    potential: Potential,
    tmp_path: Path,
) -> None:
    if known == "tf":
        source = request.getfixturevalue("tensorflow_folder")
    elif known == "mattersim":
        source = request.getfixturevalue("mattersim_file")
    else:
        source, known = tmp_path / "model.m3c.safetensors", "mattersim"
        write_native(potential, source)
    assert read_model(source).config.convention.name == known
    assert read_model(source, convention=known).config.convention.name == known
    with pytest.raises(ConventionError, match=f"'{contradiction}' contradicts"):
        read_model(source, convention=contradiction)
    with pytest.raises(ConventionError, match="unknown convention"):
        read_model(source, convention="mace")


@pytest.mark.parametrize("name", ["m3gnet.json", "m3gnet.index"])
def test_tensorflow_models_are_known_by_each_of_their_files(
    name: str, tensorflow_folder: Path
) -> None:
    assert read_model(tensorflow_folder / name).provenance.format == "tensorflow"


@pytest.mark.parametrize("name", ["m.onnx", "m.m3c.onnx", "m.m3c.json", "m.plan"])
def test_exported_files_are_no_checkpoints(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(CheckpointError, match="exported") as caught:
        read_model(tmp_path / name)
    assert "inspect" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["notes.txt", "model.ckpt", "weights.npz", "folder"])
def test_unknown_formats_are_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"something")
    with pytest.raises(CheckpointError, match="unknown format") as caught:
        read_model(path)
    for known in ("matgl", "TensorFlow", "MatterSim", "safetensors", "Hugging Face"):
        assert known in str(caught.value.hint)


@pytest.mark.parametrize(
    "source", ["missing", "missing.pth", "a/b/c", "tests/missing", "M3GNet-x.pt", "../up/there"]
)
def test_missing_paths_are_refused_without_asking_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_model(source)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """A hub that answers with ``hub.answer`` (a folder or an error) and records names."""
    errors = types.ModuleType("huggingface_hub.errors")
    errors.RepositoryNotFoundError = type("RepositoryNotFoundError", (Exception,), {})
    fake = types.SimpleNamespace(answer=None, asked=[], not_found=errors.RepositoryNotFoundError)

    def snapshot_download(name: str, *, allow_patterns: list[str]) -> str:
        fake.asked.append((name, sorted(allow_patterns)))
        if isinstance(fake.answer, Exception):
            raise fake.answer
        return str(fake.answer)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return fake


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("M3GNet-PES-MatPES-PBE-2025.2", "materialyze/M3GNet-PES-MatPES-PBE-2025.2"),
        ("somebody/My-M3GNet_1.0", "somebody/My-M3GNet_1.0"),
    ],
)
def test_names_are_looked_up_on_the_hub(
    source: str, repository: str, hub: Any, matgl_folder: Path, decisions: list[str | None]
) -> None:
    hub.answer = matgl_folder
    potential = read_model(source)
    assert hub.asked == [(repository, ["model.json", "model.pt", "state.pt"])]
    assert potential.provenance.path == f"hf://{repository}"
    assert decisions == [None]


def test_failures_of_the_hub_are_explained(hub: Any, tmp_path: Path) -> None:
    hub.answer = hub.not_found("404")
    with pytest.raises(CheckpointError, match="neither a path"):
        read_model("somebody/nothing")
    hub.answer = OSError("Name or service not known\nlong story")
    with pytest.raises(CheckpointError, match="Name or service not known$") as caught:
        read_model("somebody/something")
    assert "network" in str(caught.value.hint)
    hub.answer = tmp_path
    with pytest.raises(CheckpointError, match="holds none of"):
        read_model("somebody/dataset")


def test_a_name_without_the_hub_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match="huggingface_hub") as caught:
        read_model("M3GNet-PES-MatPES-PBE-2025.2")
    assert isinstance(caught.value, M3CompressError)
    assert "pip install" in str(caught.value.hint)
