"""``m3compress export --to native``: what is written, what runs it, and what reads it back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from native_library import built_library
from random_networks import random_potential, write_native_artefact

from m3compress import Calculator
from m3compress.__main__ import main
from m3compress.contract.backends import is_exported, looks_exported, manifest_path
from m3compress.contract.files import sha256_of
from m3compress.contract.forms import FACTORIZED, TRIPLETS
from m3compress.errors import ExportError
from m3compress.export.native.write import write
from m3compress.export.targets import Order
from m3compress.models.potential import Potential
from m3compress.models.readers.open import read_model


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    code = stopped.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model by the command line, compared with PyTorch on the whole zoo."""
    built_library()
    path = tmp_path_factory.mktemp("native") / "silica.m3c.safetensors"
    assert run("export", "builtin", "--to", "native", "-o", str(path)) == 0
    return path


def test_an_export_is_compared_with_its_model(exported: Path) -> None:
    manifest = json.loads(manifest_path(exported).read_text())
    assert manifest["backend"] == "native"
    assert manifest["parity"]["passed"]
    assert "libm3c" in manifest["parity"]["engine"]
    assert len(manifest["parity"]["rows"]) >= 24
    assert manifest["artefact_sha256"] == sha256_of(exported)


def test_it_is_still_a_model(exported: Path, builtin_potential: Potential) -> None:
    again = read_model(exported)
    assert again.form == FACTORIZED
    assert again.config == builtin_potential.config
    for name, value in builtin_potential.network.state_dict().items():
        assert np.array_equal(again.network.state_dict()[name].numpy(), value.numpy())


def test_commands_take_it_for_what_it_is(
    exported: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert is_exported(exported)
    assert not looks_exported(exported.name)
    assert run("inspect", str(exported)) == 0
    assert "passed in libm3c" in capsys.readouterr().out
    alone = tmp_path / exported.name
    alone.write_bytes(exported.read_bytes())
    assert not is_exported(alone)
    assert run("inspect", str(alone)) == 0
    assert "convention matgl-4.1" in capsys.readouterr().out
    # What was exported from a model under its name makes it no exported file.
    alone.with_suffix(".json").write_text("{}")
    assert not is_exported(alone)


def test_bench_times_it_against_its_model(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--sizes", "9", "--rounds", "2", "--threads", "1", "--json")
    assert run("bench", str(exported), "--against", "builtin", *arguments) == 0
    ours, theirs = json.loads(capsys.readouterr().out)["measurements"]
    assert (ours["engine"], ours["n_atoms"]) == ("m3compress", theirs["n_atoms"])
    assert ours["speed_up"] > 1
    assert ours["cpu_seconds"] < theirs["cpu_seconds"]


def test_precision_and_memory_are_chosen_when_it_is_opened(exported: Path) -> None:
    from m3compress.models.structures.crystals import build_crystal

    quartz = build_crystal("SiO2-quartz")
    quartz.rattle(0.05, seed=1)
    single, double, flat = (
        Calculator(exported, threads=1, precision=precision, memory=memory, on_overlap="ignore")
        for precision, memory in (
            ("float32", "keep"),
            ("float64", "keep"),
            ("float64", "recompute"),
        )
    )
    forces = [calculator.evaluate(quartz).forces for calculator in (single, double, flat)]
    assert 1e-8 < np.abs(forces[0] - forces[1]).max() < 1e-4
    assert np.abs(forces[1] - forces[2]).max() < 1e-12
    assert "float64" in double.engine.description


def test_other_files_take_no_such_choice(silica_artefact: Path) -> None:
    with pytest.raises(Exception, match="takes no precision"):
        Calculator(silica_artefact, precision="float64")


def test_what_the_core_cannot_evaluate_is_refused() -> None:
    potential = random_potential("tf")

    def order(precision: str) -> Order:
        return Order(
            reason="a test",
            precision=precision,
            max_atoms=0,
            report=lambda *_: None,
            prove=lambda _: None,  # type: ignore[arg-type,return-value]
        )

    with pytest.raises(ExportError, match="form triplets"):
        write(potential.with_form(TRIPLETS), order("float32"))
    with pytest.raises(ExportError, match="precision 'mixed'"):
        write(potential, order("mixed"))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [
        write_native_artefact(tmp_path / f"{n}.m3c.safetensors", random_potential("tf"))
        for n in range(2)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
