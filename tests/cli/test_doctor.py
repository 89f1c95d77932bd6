"""``m3compress doctor``: what it says about an environment, whole or broken."""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat

import pytest

from m3compress.commands import doctor


def test_the_report_covers_every_requirement(capsys):
    assert doctor.run(as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    names = {(package["name"], package["extra"]) for package in report["packages"]}
    assert {("numpy", None), ("onnxruntime", None), ("torch", "compress")} <= names
    assert ("matgl", "matgl") in names
    assert not [extra for _, extra in names if extra in {"dev", "all"}]
    assert report["healthy"]
    assert "CPUExecutionProvider" in report["providers"]


def test_versions_are_those_that_are_installed(capsys):
    doctor.run(as_json=True)
    report = json.loads(capsys.readouterr().out)
    installed = {package["name"]: package["installed"] for package in report["packages"]}
    assert installed["numpy"] == importlib.metadata.version("numpy")


def test_a_missing_extra_is_no_failure_and_comes_with_its_command(monkeypatch, capsys):
    hide(monkeypatch, "matgl")
    assert doctor.run(as_json=False) == 0
    out = capsys.readouterr().out
    assert "not installed" in out
    assert "to complete matgl: pip install 'm3compress[matgl]'" in out


def test_a_missing_base_package_is_a_failure(monkeypatch, capsys):
    hide(monkeypatch, "vesin")
    assert doctor.run(as_json=False) == 1
    assert "the base install does not work: vesin" in capsys.readouterr().out


def test_the_gpu_build_of_onnxruntime_stands_in_for_the_other(monkeypatch):
    versions = {"onnxruntime-gpu": "1.32.0"}
    monkeypatch.setattr(doctor, "_version", versions.get)
    package = doctor._look_up("onnxruntime", None, ">=1.20")
    assert (package.installed, package.problem) == ("1.32.0", None)


def test_a_package_that_does_not_load_is_found_out(monkeypatch):
    monkeypatch.setattr(doctor, "IMPORTED", {"numpy": "no_such_module_at_all"})
    problem = doctor._look_up("numpy", None, ">=1.26").problem
    assert problem is not None
    assert problem.startswith("does not load: No module named")


@pytest.mark.parametrize(
    ("installed", "required", "enough"),
    [
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9.1", ">=2.10", False),
        ("2.0", ">=2", True),
        ("2", ">=2.0", True),
        ("1.7.1.116", ">=1.7", True),
        ("3.0rc1", ">=2.9", True),
        ("0.1", "", True),
        ("2.0rc1", ">=2.0", False),
        ("2.0.dev5", ">=1.9", True),
        ("2.3", "<1", False),
        ("0.9", "<1", True),
        ("1.26.4", ">=1.26,<2", True),
        ("2.0.1", ">=1.26,<2", False),
        ("1.4", ">=1.2,!=1.4", False),
        ("1.4.1", "~=1.4", True),
        ("2.0", "~=1.4", False),
        ("of-this-morning", ">=1", False),
    ],
)
def test_versions_are_compared_by_number(installed, required, enough):
    assert doctor._meets(installed, required) is enough


def test_a_package_that_is_too_new_is_a_failure(monkeypatch, capsys):
    declare(monkeypatch, "numpy<1")
    assert doctor.run(as_json=False) == 1
    assert "needs <1" in capsys.readouterr().out


def test_requirements_of_other_machines_do_not_count(monkeypatch):
    declare(
        monkeypatch,
        "no-such-package; python_version < '3'",
        "neither-this-one; sys_platform == 'nowhere' and extra == 'compress'",
        "numpy>=1; python_version >= '3'",
        "ase; python_version >= '3' and extra == 'compress'",
        "rich; extra == 'compress' or extra == 'gpu'",
        "m3compress[compress]; extra == 'gpu'",
        "pytest; extra == 'dev'",
    )
    found = [(package.name, package.extra) for package in doctor._packages()]
    assert found == [("numpy", None), ("ase", "compress"), ("rich", "compress"), ("rich", "gpu")]


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for nvidia-smi")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'NVIDIA X, 81559 MiB, 9.0, 580.1'", ("NVIDIA X, 81559 MiB, 9.0, 580.1",)),
        ("echo broken; exit 9", ("nvidia-smi failed: ",)),
    ],
)
def test_gpus_come_from_nvidia_smi(monkeypatch, tmp_path, script, expected):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = doctor._gpus()
    assert len(found) == 1
    assert found[0].startswith(expected[0])


def hide(monkeypatch, name):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda asked: None if asked == name else real(asked))


def declare(monkeypatch, *requirements):
    """Put other requirements into the metadata of the package."""
    metadata = importlib.metadata.metadata(doctor.DISTRIBUTION)
    del metadata["Requires-Dist"], metadata["Provides-Extra"]
    for requirement in requirements:
        metadata["Requires-Dist"] = requirement
    for extra in ("compress", "gpu", "dev"):
        metadata["Provides-Extra"] = extra
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: metadata)
