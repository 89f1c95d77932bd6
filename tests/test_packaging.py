"""What is installed from the wheel: all of the sources, nothing at the top level, and no torch.

The wheel is built from a copy of the sources, so that no stale ``build/`` can add to it, and
installed into an environment that holds the base requirements alone. In a parallel run,
``--dist loadscope`` keeps these tests together, so that this happens once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
VERSION = PROJECT["project"]["version"]
ROOMS = ("distill", "engines", "export", "models", "validate")
BUILTIN_MODEL = ("model.json", "model.pt", "state.pt")

pytestmark = pytest.mark.slow


def run(*command, check=False, **options):
    """Run a command away from the repository and its environment."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=600,
        # Compiling the native core takes minutes; the sources of it are in the wheel all the same.
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "M3COMPRESS_NATIVE": "0"},
        **options,
    )
    if check and result.returncode:
        pytest.fail(f"{command} failed:\n{result.stdout}\n{result.stderr}")
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for top in sorted({path.partition("/")[0] for path in SETUPTOOLS["package-dir"].values()}):
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    build = (sys.executable, "-m", "build", "--wheel", "--outdir", folder, copy)
    run(*build, cwd=folder, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The bin folder of an environment with the wheel and the base requirements alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    # Most modules of the requirements are never imported: to compile all of them takes long.
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-compile")
    run(*pip, "-qq", wheel, check=True, cwd=folder)
    return scripts


def python(environment, code, folder):
    return run(environment / "python", "-c", code, cwd=folder)


def expected_files():
    """Where every source and data file of the tree belongs in the wheel."""
    data = SETUPTOOLS["package-data"]
    return {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in SETUPTOOLS["package-dir"].items()
        for pattern in ("*.py", *data.get(package, ()))
        for path in (ROOT / folder).glob(pattern)
    }


def test_the_wheel_holds_the_tree_and_nothing_else(contents):
    packaged = {
        name for name in contents if not name.startswith(f"m3compress-{VERSION}.dist-info/")
    }
    assert packaged == expected_files()


def test_no_source_file_is_outside_the_listed_folders():
    tops = {folder.partition("/")[0] for folder in SETUPTOOLS["package-dir"].values()}
    sources = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    listed = [
        path
        for folder in SETUPTOOLS["package-dir"].values()
        for path in (ROOT / folder).glob("*.py")
    ]
    assert sorted(sources) == sorted(listed)


def test_nothing_else_lands_at_the_top_level(contents):
    assert {name.partition("/")[0] for name in contents} == {
        "m3compress",
        f"m3compress-{VERSION}.dist-info",
    }


def test_the_wheel_is_typed_and_licensed(contents):
    assert "m3compress/py.typed" in contents
    assert f"m3compress-{VERSION}.dist-info/licenses/LICENSE" in contents


@pytest.mark.parametrize("name", BUILTIN_MODEL)
def test_the_built_in_model_is_in_the_wheel(contents, name):
    assert f"m3compress/models/builtin/{name}" in contents


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < 10e6  # bytes; weights beyond the built-in model stay out


def test_the_command_is_installed(environment, tmp_path):
    result = run(environment / "m3compress", "--version", cwd=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (0, f"m3compress {VERSION}")
    assert run(environment / "m3compress", "--help", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_are_not_packages_of_their_own(environment, tmp_path, room):
    result = python(environment, f"import {room}", tmp_path)
    assert f"No module named '{room}'" in result.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_refuse_to_be_imported_from_the_repository(environment, room):
    result = python(environment, f"import {room}", ROOT)
    assert f"import 'm3compress.{room}', not '{room}'" in result.stderr


@pytest.mark.parametrize("package", ["torch", "onnx", "matgl"])
def test_the_base_install_is_the_runtime_alone(environment, tmp_path, package):
    assert "ModuleNotFoundError" in python(environment, f"import {package}", tmp_path).stderr


def test_the_calculator_needs_the_base_install_alone(environment, tmp_path):
    result = python(environment, "from m3compress import Calculator; print(Calculator)", tmp_path)
    assert result.stderr == ""
    assert "m3compress.engines" in result.stdout


def test_compressing_says_what_to_install(environment, tmp_path):
    result = run(environment / "m3compress", "export", "builtin", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "error: " in result.stderr
    assert "hint: pip install 'm3compress[compress]'" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_doctor_works_without_extras(environment, tmp_path):
    result = run(environment / "m3compress", "doctor", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "to complete compress: pip install 'm3compress[compress]'" in result.stdout
