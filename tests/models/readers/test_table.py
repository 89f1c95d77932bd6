"""The table of readers, and how a format is added to it: the worked example of extending.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m3compress.contract.files import sha256_of
from m3compress.errors import CheckpointError, ConventionError
from m3compress.models.config import CONVENTIONS, M3GNetConfig
from m3compress.models.potential import Potential, Provenance, native_form
from m3compress.models.readers import table
from m3compress.models.readers.arrays import fill_network
from m3compress.models.readers.open import read_model

# 1. A module that reads the format: models/readers/archive.py

SUFFIX = ".npz"


def looks_like_archive(path: Path) -> bool:
    """Whether ``path`` is a file with the suffix of numpy's archives."""
    return path.is_file() and path.suffix == SUFFIX


def read_archive(path: Path) -> Potential:
    """Read a potential from arrays named as the tensors of the network are."""
    with np.load(path) as archive:
        arrays = dict(archive)
    try:
        config = M3GNetConfig.from_json(json.loads(str(arrays.pop("config"))))
        energies = arrays.pop("element_energies")
    except KeyError as error:
        raise CheckpointError(f"{path} lacks the array {error}") from error
    return Potential(
        network=fill_network(config, arrays, str(path)),
        form=native_form(config.convention),
        element_energies=energies,
        energy_offset=0.0,
        provenance=Provenance(format="archive", path=str(path), sha256=sha256_of(path)),
    )


# 2. A row of the table: models/readers/table.py

ARCHIVE = table.Reader(
    format="archive",
    description="an .npz archive of arrays",
    recognises=looks_like_archive,
    read=read_archive,
    suffixes=(SUFFIX,),
)

# 3. Its test: tests/models/readers/test_archive.py


@pytest.fixture
def add_reader(monkeypatch: pytest.MonkeyPatch) -> Callable[[table.Reader], None]:
    """Add a row to the table for one test."""

    def add(reader: table.Reader) -> None:
        monkeypatch.setattr(table, "READERS", (*table.READERS, reader))

    return add


@pytest.fixture
def written(random_potential: Callable[..., Potential]) -> Potential:
    return random_potential(3, "mattersim")


@pytest.fixture
def archive(written: Potential, tmp_path: Path) -> Path:
    path = tmp_path / f"model{SUFFIX}"
    weights = {name: value.numpy() for name, value in written.network.state_dict().items()}
    config = json.dumps(written.config.to_json())
    np.savez(path, config=config, element_energies=written.element_energies, **weights)
    return path


def test_an_added_format_is_read(
    add_reader: Callable[..., None], archive: Path, written: Potential
) -> None:
    with pytest.raises(CheckpointError, match="unknown format"):
        read_model(archive)
    add_reader(ARCHIVE)
    found = read_model(archive)
    assert found.config == written.config
    for name, value in written.network.state_dict().items():
        np.testing.assert_array_equal(found.network.state_dict()[name], value)
    np.testing.assert_array_equal(found.element_energies, written.element_energies)


def test_an_added_format_is_named_among_the_known_ones(
    add_reader: Callable[..., None], tmp_path: Path
) -> None:
    add_reader(ARCHIVE)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError) as caught:
        read_model(tmp_path / "notes.txt")
    assert ARCHIVE.description in str(caught.value.hint)


def test_what_the_reader_did_not_foresee_is_an_error_about_the_file(
    add_reader: Callable[..., None], tmp_path: Path
) -> None:
    add_reader(ARCHIVE)
    (tmp_path / "model.npz").write_bytes(b"not an archive")
    with pytest.raises(CheckpointError, match="garbled"):
        read_model(tmp_path / "model.npz")


def test_a_format_without_a_choice_settles_its_convention(
    add_reader: Callable[..., None], archive: Path
) -> None:
    add_reader(ARCHIVE)
    with pytest.raises(ConventionError, match="contradicts"):
        read_model(archive, convention="tf")


def test_a_format_that_leaves_a_choice_lets_the_user_decide(
    add_reader: Callable[..., None], archive: Path
) -> None:
    choice = ("matgl-3", "matgl-4.1")
    add_reader(
        table.Reader(
            format="archive",
            description="an .npz archive of arrays",
            recognises=looks_like_archive,
            read=read_archive,
            conventions=choice,
        )
    )
    for name in choice:
        assert read_model(archive, convention=name).config.convention == CONVENTIONS[name]
    with pytest.raises(ConventionError, match=r"matgl-3, matgl-4\.1"):
        read_model(archive, convention="matgl-dgl")


def test_rows_are_told_apart_and_name_conventions_that_exist() -> None:
    formats = [reader.format for reader in table.READERS]
    assert len(set(formats)) == len(formats)
    for reader in table.READERS:
        assert set(reader.conventions) <= set(CONVENTIONS)


def test_only_matgl_leaves_its_convention_open() -> None:
    three = ("matgl-dgl", "matgl-3", "matgl-4.1")
    left_open = {r.format for r in table.READERS if table.open_conventions(r.format)}
    assert left_open == {"matgl", "lightning"}
    assert table.open_conventions("matgl") == three
    # A potential that a program made, not a reader, says nothing.
    assert table.open_conventions("random") == three
