"""Which matgl wrote a file: by what each version writes, and by real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from m3compress.api import resolve_source
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.readers.matgl_versions import trainer_of, writer_of, writer_of_training

OLD = {"calc_forces": True, "calc_repuls": False, "@module": "matgl.apps.pes"}
NEW = {**OLD, "calc_charge": False}
NEWEST = {**NEW, "compile_model": False, "compile_mode": "reduce-overhead"}
NETWORK = {"units": 64, "@module": "matgl.models._m3gnet"}
DROPOUT = {**NETWORK, "dropout": None}


@pytest.mark.parametrize(
    ("potential", "network", "versions", "conventions"),
    [
        (OLD, NETWORK, "matgl 1.2 or older", ["matgl-dgl"]),
        (OLD, DROPOUT, "matgl 1.3", ["matgl-dgl"]),
        (NEW, DROPOUT, "matgl 1.3 to 3.0", ["matgl-dgl", "matgl-3"]),
        ({**NEW, "@module": "matgl.apps._pes_dgl"}, DROPOUT, "matgl 2 or 3.0", ["matgl-dgl"]),
        (NEW, {**DROPOUT, "@module": "matgl.models._m3gnet_pyg"}, "matgl 3.0", ["matgl-3"]),
        (NEW, {**DROPOUT, "@module": "matgl.models._m3gnet_dgl"}, "matgl 2", ["matgl-dgl"]),
        ({**NEWEST, "@module": "matgl.apps._pes"}, DROPOUT, "matgl 4.0", ["matgl-3"]),
        (NEWEST, DROPOUT, "matgl 4.0 or newer", ["matgl-3", "matgl-4.1"]),
        (None, DROPOUT, "matgl 1.3 or newer", ["matgl-dgl", "matgl-3", "matgl-4.1"]),
        (
            NEWEST,
            {**DROPOUT, "@module": "matgl.models._m3gnet_dgl"},
            "matgl 4.0 or newer",
            ["matgl-3", "matgl-4.1"],
        ),
        (None, NETWORK, "matgl 1.2 or older", ["matgl-dgl"]),
    ],
)
def test_what_each_version_writes(
    potential: dict[str, Any] | None,
    network: dict[str, Any],
    versions: str,
    conventions: list[str],
) -> None:
    found = writer_of(potential, network)
    assert found.versions.startswith(versions)
    assert list(found.conventions) == conventions
    assert found.because in str(found)


def test_real_files(shared: Path) -> None:
    for folder in sorted((shared / "models").glob("*-PES")):
        writer = read_matgl(folder).provenance.writer
        assert writer is not None
        assert writer.versions == "matgl 1.2 or older", folder.name
    newest = read_matgl(Path(resolve_source("builtin"))).provenance.writer
    assert newest is not None
    assert newest.conventions == ("matgl-3", "matgl-4.1")


def test_what_the_installed_matgl_writes(matgl_model: Path) -> None:
    writer = read_matgl(matgl_model).provenance.writer
    assert writer is not None
    assert writer.versions == "matgl 4.0 or newer"


def test_trainings() -> None:
    newest = trainer_of({"charge_weight": 0.0, "lr": 1e-3})
    assert newest is not None
    assert newest.conventions == ("matgl-3", "matgl-4.1")
    older = trainer_of({"magmom_weight": 0.0, "optimizer": None})
    assert older is not None
    assert "matgl-4.1" not in older.conventions
    for silent in (None, 3, {}, {"lr": 1e-3}, {"charge_weight": 0.0, "optimizer": None}):
        assert trainer_of(silent) is None


@pytest.mark.parametrize("hyper_parameters", [None, {"lr": 1e-3}])
@pytest.mark.parametrize(
    ("potential", "module", "versions"),
    [
        (NEWEST, "_m3gnet", "matgl 4.0 or newer"),
        ({**NEWEST, "@module": "matgl.apps._pes"}, "_m3gnet", "matgl 4.0 or newer"),
        (NEW, "_m3gnet_pyg", "matgl 3.0 with PyG or newer"),
        (NEW, "_m3gnet_dgl", None),
        (NEW, "_m3gnet", None),
        (OLD, "_m3gnet", None),
    ],
)
def test_arguments_beside_a_training_say_that_it_was_not_older(
    hyper_parameters: Any, potential: dict[str, Any], module: str, versions: str | None
) -> None:
    written = writer_of(potential, {**DROPOUT, "@module": f"matgl.models.{module}"})
    found = writer_of_training(hyper_parameters, written)
    assert (found and found.versions) == versions
    assert found is None or found.conventions == ("matgl-3", "matgl-4.1")


def test_a_training_says_more_than_the_arguments_beside_it() -> None:
    older = writer_of_training({"magmom_weight": 0.0}, writer_of(NEWEST, DROPOUT))
    newer = writer_of_training({"charge_weight": 0.0}, writer_of(OLD, NETWORK))
    assert older is not None
    assert newer is not None
    assert older.versions == "matgl 3.0 or older"
    assert newer.versions == "matgl 4.0 or newer"
