"""Readers of files under damage that hypothesis draws: they read, or refuse with an error of ours.

Few examples are drawn in the suite, always the same; ``FUZZ_EXAMPLES=5000 pytest
tests/models/test_fuzz.py`` goes on for minutes. What it found stands as examples.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3compress.contract.evaluation import Evaluation
from m3compress.contract.neighbors import check_structure
from m3compress.engines.artefact import read_manifest
from m3compress.errors import ArtefactError, M3CompressError, StructureError
from m3compress.export.onnx.build import describe
from m3compress.models.potential import Potential
from m3compress.models.readers.native import write_native
from m3compress.models.readers.open import read_model
from m3compress.models.structures.frames import read_frames, require_known
from m3compress.models.structures.labels import read_labels
from m3compress.models.writers.matgl import save_matgl

#: What a value in a file is replaced with: all that JSON and pickles of plain values can hold.
ODD_VALUES = (
    None, True, False, 0, 1, -1, 7, 10**30, -0.0, 0.5, 1e-320, 1e308, float("nan"), float("inf"),
    "", "x", "NaN", "H", "1", [], [0], [None], [[1.0], [2.0, 3.0]], {}, {"a": 1}, {"@class": "X"},
)  # fmt: skip
#: What a piece of text is replaced with.
ODD_TEXT = (
    "", " ", "\n", "\t", "nan", "-inf", "1e999", "1e308", "-1", "0", "99999999999", "x", "D", "T F",
    "?", ".", "\"", "'", "=", "{", "[", ":", "_", "loop_", "\x00", "é", "½", "True", "None",
)  # fmt: skip

PATIENCE = 60  # seconds
#: Few examples in the suite; FUZZ_EXAMPLES=5000 goes on for minutes.
fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damaged_text(draw: st.DrawFn, originals: tuple[str, ...]) -> str:
    """One of the texts with up to four pieces replaced, doubled or cut off."""
    text = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        pieces = text.split(" ") if draw(st.booleans()) else text.splitlines(keepends=True)
        if not pieces:
            break
        glue = " " if " ".join(pieces) == text else ""
        place = draw(st.integers(0, len(pieces) - 1))
        how = draw(st.sampled_from(("replace", "remove", "double", "end", "insert")))
        if how == "replace":
            pieces[place] = draw(st.sampled_from(ODD_TEXT))
        elif how == "remove":
            del pieces[place]
        elif how == "double":
            pieces.insert(place, pieces[place])
        elif how == "end":
            del pieces[place:]
        else:
            pieces.insert(place, draw(st.sampled_from(ODD_TEXT)))
        text = glue.join(pieces)
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, original: bytes) -> bytes:
    """The bytes with up to three of them changed, or cut off."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content) - 1) | st.integers(0, min(200, len(content) - 1)))
        content[place] = draw(st.integers(0, 255))
    if draw(st.integers(0, 4)) == 0:
        del content[draw(st.integers(0, len(content) - 1)) :]
    return bytes(content)


@st.composite
def damaged_values(draw: st.DrawFn, original: Any) -> Any:
    """Nested plain values with up to three of them replaced or removed, at any depth."""
    document = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            break
        owner, key = draw(st.sampled_from(places))
        if draw(st.integers(0, 4)) == 0:
            del owner[key]
        else:
            owner[key] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    return document


def _places(value: Any) -> Any:
    """Every (container, key) in nested dictionaries and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        yield value, key
        if isinstance(entry, dict | list):
            yield from _places(entry)


class Springs:
    """An evaluator that costs nothing: every atom on a spring to the origin."""

    elements = ("H", "O", "Si")
    cutoff = 5.0

    def evaluate(self, atoms: Atoms) -> Evaluation:
        check_structure(atoms)
        energies = 0.01 * (atoms.positions**2).sum(axis=1)
        forces = -0.02 * atoms.positions
        return Evaluation(float(energies.sum()), energies, forces, -atoms.positions.T @ forces)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A sound file of each of the formats that users bring, by suffix."""
    folder = tmp_path_factory.mktemp("sound")
    frames = []
    for seed in range(3):
        atoms = bulk("SiO", "rocksalt", a=4.5)
        atoms.rattle(0.1, seed=seed)
        found = Springs().evaluate(atoms)
        atoms.calc = SinglePointCalculator(
            atoms, energy=found.energy, forces=found.forces, stress=found.stress(atoms)
        )
        frames.append(atoms)
    made = {}
    for suffix, kind in (
        ("extxyz", "extxyz"), ("cif", "cif"), ("json", "json"), ("poscar", "vasp"),
        ("pdb", "proteindatabank"), ("xyz", "xyz"), ("traj.json", "json"), ("xsf", "xsf"),
    ):  # fmt: skip
        several = suffix in ("extxyz", "traj.json", "pdb")
        write(folder / suffix, frames if several else frames[0], format=kind)
        made[suffix] = (folder / suffix).read_text()
    made["lammpstrj"] = DUMP
    return made


DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 8
0 8
0 8
ITEM: ATOMS id type element x y z
1 1 Si 0 0 0
2 2 O 1.6 0 0
"""
SUFFIXES = ("extxyz", "cif", "json", "poscar", "pdb", "xyz", "traj.json", "xsf", "lammpstrj")


@pytest.fixture
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            yield


class StillReading(BaseException):
    """No ``Exception``, which would be taken for what ASE says of the file."""


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Damaged files of a few kB were seen to keep a reader busy for hours."""

    def stop(*_: Any) -> None:
        raise StillReading(f"after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _read_structures(path: Path) -> None:
    with contextlib.suppress(StructureError):
        for atoms in read_frames(path):
            require_known(atoms, ("H", "O", "Si"), "it")


def _read_labels(path: Path) -> None:
    with contextlib.suppress(StructureError):
        for named in read_labels(path, Springs()):
            results = named.atoms.calc.results
            assert all(np.isfinite(np.asarray(value)).all() for value in results.values())


@pytest.mark.parametrize("suffix", SUFFIXES)
@fuzzed
@given(data=st.data())
def test_structures_and_labels(
    suffix: str, data: st.DataObject, texts: dict[str, str], tmp_path: Path, quiet: None
) -> None:
    path = tmp_path / f"x.{suffix}"
    content = data.draw(damaged_text((texts[suffix],)))
    path.write_text(content, encoding="utf-8", errors="surrogatepass")
    with _in_time():
        _read_structures(path)
        _read_labels(path)


@fuzzed
@given(
    energy=st.sampled_from(ODD_VALUES),
    forces=st.sampled_from((np.zeros((2, 3)), np.ones((2, 2)), np.full((2, 3), np.nan), None)),
    stress=st.sampled_from(ODD_VALUES),
    position=st.floats(),
    length=st.floats(),
)
def test_labels_of_any_value(
    energy: Any, forces: Any, stress: Any, position: float, length: float, tmp_path: Path,
    quiet: None,
) -> None:  # fmt: skip
    atoms = Atoms("SiO", [[0, 0, 0], [1, 1, position]], cell=[5, 5, length], pbc=True)
    if forces is not None:
        atoms.arrays["REF_forces"] = forces
    atoms.info["REF_energy"] = energy
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results["stress"] = stress
    with contextlib.suppress(Exception):  # what ASE cannot write, nobody brings
        write(tmp_path / "x.extxyz", atoms)
        write(tmp_path / "x.json", atoms)
    for name in ("x.extxyz", "x.json"):
        if (tmp_path / name).is_file():
            _read_labels(tmp_path / name)


@pytest.fixture(scope="module")
def small(random_potential: Callable[..., Potential]) -> Potential:
    return random_potential(0, "matgl-4.1", **MATGL_SIZES)


MATGL_SIZES = {
    "elements": ("O", "Si"), "node_width": 4, "edge_width": 4, "hidden": (4, 4),
    "readout_hidden": (4, 4, 4), "max_n": 2, "max_l": 2, "n_blocks": 1, "edge_basis": "smooth",
    "triplet_basis": "smooth", "edge_bias": True, "message_activation": "identity",
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(
    small: Potential,
    mattersim_checkpoint: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, bytes]:
    """The files of a model in every format but TensorFlow's."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save_matgl(small, folder / "matgl", {"shortest_distances": {"O-O": 1.2, "O-Si": 1.5}})
    write_native(small, folder / "x.m3c.safetensors")
    torch.save(mattersim_checkpoint(), folder / "x.pth")
    state = torch.load(folder / "matgl" / "state.pt", weights_only=True)
    training = {"state_dict": {f"model.{name}": value for name, value in state.items()}}
    training["hyper_parameters"] = {"lr": 1e-3, "charge_weight": 0.0}
    torch.save(training, folder / "x.ckpt")
    files = (*folder.glob("x.*"), *(folder / "matgl").iterdir())
    return {file.name: file.read_bytes() for file in files if file.name != "x.m3c.model.json"}


CHECKPOINTS = ("model.pt", "state.pt", "model.json", "x.ckpt", "x.pth", "x.m3c.safetensors")


def _lay_out(checkpoints: dict[str, bytes], folder: Path) -> None:
    for name, content in checkpoints.items():
        (folder / name).write_bytes(content)


def _read_checkpoint(path: Path) -> None:
    with contextlib.suppress(M3CompressError):
        read_model(path, convention=None if path.suffix in (".pth", ".safetensors") else "matgl-3")


@pytest.mark.parametrize("name", CHECKPOINTS)
@fuzzed
@given(data=st.data())
def test_bytes_of_checkpoints(
    name: str, data: st.DataObject, checkpoints: dict[str, bytes], tmp_path: Path, quiet: None
) -> None:
    _lay_out(checkpoints, tmp_path)
    (tmp_path / name).write_bytes(data.draw(damaged_bytes(checkpoints[name])))
    _read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["model.pt", "state.pt", "model.json", "x.ckpt", "x.pth"])
@fuzzed
@given(data=st.data())
def test_values_of_checkpoints(
    name: str, data: st.DataObject, checkpoints: dict[str, bytes], tmp_path: Path, quiet: None
) -> None:
    _lay_out(checkpoints, tmp_path)
    path = tmp_path / name
    if path.suffix == ".json":
        path.write_text(json.dumps(data.draw(damaged_values(json.loads(checkpoints[name])))))
    else:
        content = torch.load(path, weights_only=True)
        torch.save(data.draw(damaged_values(content)), path)
    _read_checkpoint(path)


TENSORFLOW = ("m3gnet.index", "m3gnet.data-00000-of-00001", "m3gnet.json")


@pytest.fixture(scope="module")
def tensorflow(shared: Path) -> dict[str, bytes]:
    """The files of the original."""
    folder = shared / "models" / "M3GNet-MP-2021.2.8-EFS-tensorflow"
    return {name: (folder / name).read_bytes() for name in TENSORFLOW}


@pytest.mark.parametrize("name", TENSORFLOW)
@fuzzed
@given(data=st.data())
def test_bytes_of_tensorflow_files(
    name: str, data: st.DataObject, tensorflow: dict[str, bytes], tmp_path: Path, quiet: None
) -> None:
    _lay_out({**tensorflow, name: data.draw(damaged_bytes(tensorflow[name]))}, tmp_path)
    with contextlib.suppress(M3CompressError):
        read_model(tmp_path)


@fuzzed
@given(data=st.data())
def test_settings_of_tensorflow_files(
    data: st.DataObject, tensorflow: dict[str, bytes], tmp_path: Path, quiet: None
) -> None:
    settings = json.loads(json.loads(tensorflow["m3gnet.json"]))  # JSON in a JSON string
    damaged = json.dumps(data.draw(damaged_values(settings)))
    _lay_out({**tensorflow, "m3gnet.json": json.dumps(damaged).encode()}, tmp_path)
    with contextlib.suppress(M3CompressError):
        read_model(tmp_path)


@fuzzed
@given(data=st.data())
def test_documents_of_native_files(
    data: st.DataObject, small: Potential, checkpoints: dict[str, bytes], tmp_path: Path,
    quiet: None,
) -> None:  # fmt: skip
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "x.m3c.safetensors"
    path.write_bytes(checkpoints[path.name])
    with safe_open(path, framework="pt") as stream:
        document = json.loads(stream.metadata()["m3compress"])
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    damaged = json.dumps(data.draw(damaged_values(document)))
    save_file(tensors, path, metadata={"m3compress": damaged})
    _read_checkpoint(path)


@pytest.fixture(scope="module")
def manifest(small: Potential) -> dict[str, Any]:
    document = json.loads(describe(small, reason="a test").model_dump_json())
    parity = {"reference": "x", "engine": "y", "rows": [], "passed": True}
    return {**document, "shortest_distances": {"O-O": 1.2, "O-Si": 1.5}, "parity": parity}


@fuzzed
@given(data=st.data())
def test_manifests(data: st.DataObject, manifest: dict[str, Any]) -> None:
    with contextlib.suppress(ArtefactError):
        read_manifest(json.dumps(data.draw(damaged_values(manifest))), "it")
    with contextlib.suppress(ArtefactError):
        read_manifest(data.draw(damaged_text((json.dumps(manifest, indent=1),))), "it")
