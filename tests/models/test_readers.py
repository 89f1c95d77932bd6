"""Reading what is sound, and refusing what is not: by name, with a hint, and without running it."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from m3compress.errors import CheckpointError, UnsupportedModelError
from m3compress.models.readers.arrays import load_torch
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.mattersim import read_mattersim
from m3compress.models.readers.tensorflow import read_tensorflow


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


def _change(path: Path, change: Callable[[Any], Any]) -> None:
    """Load a ``.pt``, change it in place (or replace it), and save it again."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    changed = change(content)
    torch.save(content if changed is None else changed, path)


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
        path.write_bytes(pickle.dumps(Planter(planted), protocol=2))
    else:
        torch.save({"weight": torch.ones(2), "extra": Planter(planted)}, path)
    with pytest.raises(CheckpointError, match=r"not executed|not a readable"):
        load_torch(path)
    assert not planted.exists()
    torch.load(path, weights_only=False) if not legacy else pickle.loads(path.read_bytes())
    assert planted.exists(), "the file was harmless, so the test showed nothing"


class Shell:
    """Pickles as a shell command, by way of a module that PyTorch blocks by name."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


def test_a_refusal_never_advises_to_trust_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"extra": Shell()}, path)
    with pytest.raises(CheckpointError, match=r"not executed: .*GLOBAL") as caught:
        load_torch(path)
    assert "set to `False`" not in str(caught.value)


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
        (lambda state: state.update(data_std=torch.ones(2)), "data_std"),
        (lambda state: state.update(data_mean=torch.tensor(float("nan"))), "data_mean is nan"),
    ],
    ids=["NaN", "shape", "missing", "surplus", "surplus block", "a list", "std", "mean"],
)
def test_damaged_matgl_weights_are_refused(
    damage: Callable[[Any], Any], message: str, matgl_folder: Path
) -> None:
    _change(matgl_folder / "state.pt", damage)
    with pytest.raises(CheckpointError, match=message):
        read_matgl(matgl_folder)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_every_floating_point_type_are_read(
    dtype: torch.dtype, matgl_folder: Path
) -> None:
    expected = read_matgl(matgl_folder)
    _change(
        matgl_folder / "state.pt",
        lambda state: {name: value.to(dtype) for name, value in state.items()},
    )
    found = read_matgl(matgl_folder)
    weights = found.network.state_dict()
    for name, value in expected.network.state_dict().items():
        assert weights[name].dtype == torch.float64
        assert torch.equal(weights[name], value.to(dtype).to(torch.float64)), name
    narrow = torch.tensor(expected.element_energies).to(dtype).to(torch.float64)
    assert np.array_equal(found.element_energies, narrow.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.to(torch.complex64), "is of type complex64"),
        (lambda value: value.to_sparse(), "is of type float32, torch.sparse_coo"),
    ],
    ids=["complex", "sparse"],
)
@pytest.mark.parametrize("name", [WEIGHT, "element_refs.property_offset", "data_std"])
def test_weights_of_other_types_are_refused_by_name(
    name: str, change: Callable[[Any], Any], message: str, matgl_folder: Path
) -> None:
    def put(state: dict[str, torch.Tensor]) -> None:
        state[name] = change(state.get(name, torch.ones(3)))

    _change(matgl_folder / "state.pt", put)
    with pytest.raises(CheckpointError, match=message):
        read_matgl(matgl_folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("nblocks", 4, "lacks blocks.3"),
        ("max_n", 4, "shape"),
        ("max_n", 10**9, "max_n is 1000000000"),
        ("units", 10**9, "hidden width"),
        ("cutoff", 3.0, "a cutoff of|three-body cutoff"),
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
        ('\\"mean\\": 0.0', '\\"mean\\": NaN', CheckpointError, "mean is nan"),
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


def test_mattersim_rows_are_atomic_numbers(mattersim_file: Path) -> None:
    potential = read_mattersim(mattersim_file)
    assert potential.config.elements == ("H", "He", "Li", "Be", "B")
    assert potential.network.scales.tolist() == [2, 3, 4, 5, 6]
    assert potential.element_energies.tolist() == [-1, -2, -3, -4, -5]


def test_mattersim_with_a_transposed_basis_is_refused(
    tmp_path: Path, mattersim_checkpoint: Callable[..., dict[str, Any]]
) -> None:
    torch.save(mattersim_checkpoint(max_n=3), tmp_path / "m.pth")
    with pytest.raises(UnsupportedModelError, match=r"max_n=3 and max_l=4.*SphericalBasisLayer"):
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
