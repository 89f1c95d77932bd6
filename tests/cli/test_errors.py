"""What a user sees when something goes wrong: message, hint, exit code, and no traceback."""

from __future__ import annotations

import logging
import sys
import tomllib
import types
from pathlib import Path

import pytest

from m3compress import app as app_module
from m3compress import console
from m3compress.__main__ import main
from m3compress.errors import (
    CheckpointError,
    M3CompressError,
    MissingDependencyError,
    ParityError,
)
from m3compress.extras import EXTRA_OF_MODULE, install_command, missing_dependency
from m3compress.options import check_three_body

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def inspect_that(monkeypatch):
    """Replace the implementation of ``inspect`` by one that does this."""

    def replace(action):
        module = types.ModuleType("m3compress.commands.inspect")
        module.run = lambda **options: action()
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return replace


def raising(error):
    def action():
        raise error

    return action


def exit_code(*arguments):
    try:
        return main(arguments)
    except SystemExit as finished:
        return finished.code or 0


@pytest.mark.parametrize("labels", [["--labels=~/x.xyz"], ["--labels", "~/x.xyz"]])
def test_the_home_folder_is_expanded_in_all_words(monkeypatch, tmp_path, labels):
    seen = {}
    module = types.ModuleType("m3compress.commands.export")
    module.run = lambda **options: seen.update(options) or 0
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert exit_code("export", "~/model", "-o~/out.m3c.onnx", *labels) == 0
    assert seen["model"] == str(tmp_path / "model")
    assert seen["output"] == tmp_path / "out.m3c.onnx"
    assert seen["labels"] == tmp_path / "x.xyz"


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_command_decides_the_exit_code(inspect_that, code):
    inspect_that(lambda: code)
    assert exit_code("inspect", "x") == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointError("x.pt is damaged", hint="download it again"), 2),
        (ParityError("forces differ by 1 eV/Å", hint="report it"), 1),
    ],
)
def test_an_error_is_shown_with_its_hint(inspect_that, capsys, error, code):
    inspect_that(raising(error))
    assert exit_code("inspect", "x") == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {error.message}\n\nhint: {error.hint}\n")


def test_an_error_without_a_hint(inspect_that, capsys):
    inspect_that(raising(M3CompressError("no [atoms] here")))
    assert exit_code("inspect", "x") == 2
    assert capsys.readouterr().err == "error: no [atoms] here\n"


@pytest.mark.parametrize("module", ["torch", "onnx", "huggingface_hub", "safetensors", "scipy"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(inspect_that, capsys, module):
    inspect_that(raising(ModuleNotFoundError(f"No module named '{module}'", name=module)))
    assert exit_code("inspect", "x") == 2
    err = capsys.readouterr().err
    assert f"error: {module} is not installed" in err
    assert "hint: pip install 'm3compress[compress]'" in err
    assert "Traceback" not in err


def test_a_package_that_does_not_load_is_told_from_one_that_is_absent():
    broken = missing_dependency(ImportError("libcudart.so.13: no such file", name="torch._C"))
    assert isinstance(broken, MissingDependencyError)
    assert "torch is installed but does not load: libcudart.so.13" in broken.message


def test_a_missing_module_of_our_own_is_not_blamed_on_an_extra(inspect_that, capsys):
    inspect_that(
        raising(ModuleNotFoundError("No module named 'm3compress.x'", name="m3compress.x"))
    )
    assert exit_code("inspect", "x") == 2
    err = capsys.readouterr().err
    assert "unexpected ModuleNotFoundError" in err
    assert "pip install" not in err


def test_a_full_disk_is_no_traceback(inspect_that, capsys):
    inspect_that(raising(OSError(28, "No space left on device", "/tmp/x.onnx")))
    assert exit_code("inspect", "x") == 2
    assert capsys.readouterr().err == "error: /tmp/x.onnx: No space left on device\n"


def test_a_crash_shows_where_and_is_not_taken_for_a_failed_check(inspect_that, capsys):
    inspect_that(raising(ZeroDivisionError("division by zero")))
    assert exit_code("inspect", "x") == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "error: unexpected ZeroDivisionError: division by zero" in err


def test_an_interrupt_exits_with_130(inspect_that, capsys):
    inspect_that(raising(KeyboardInterrupt()))
    assert exit_code("inspect", "x") == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_every_optional_package_is_in_the_extra_that_is_named_for_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for module, extra in EXTRA_OF_MODULE.items():
        stem = module.removesuffix("_bindings").replace("_", "-")
        wanted = [requirement.replace("_", "-") for requirement in extras[extra]]
        assert any(requirement.startswith(stem) for requirement in wanted), (module, extra)
    assert install_command("matgl") == "pip install 'm3compress[matgl]'"


@pytest.mark.parametrize(
    ("flags", "level"), [([], "WARNING"), (["-v"], "INFO"), (["-vv"], "DEBUG")]
)
def test_verbosity_sets_the_level_of_our_logger_and_leaves_the_root_alone(
    inspect_that, flags, level
):
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    inspect_that(lambda: 0)
    assert exit_code(*flags, "inspect", "x") == 0
    assert logging.getLogger("m3compress").level == getattr(logging, level)
    assert (root.level, root.handlers) == before


@pytest.fixture(autouse=True)
def _fresh_console():
    logger = logging.getLogger("m3compress")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    console.stderr.cache_clear()
    console.stdout.cache_clear()
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)
    console.stderr.cache_clear()
    console.stdout.cache_clear()


@pytest.mark.parametrize(
    "text", ["auto", "factorize", "remove", "keep", "prune=0.5", "prune=1", "prune=1e-3"]
)
def test_three_body_methods_that_exist(text):
    assert check_three_body(text) == text


def test_sizes_are_read_as_numbers():
    assert app_module._parse_sizes("200, 600,2000") == (200, 600, 2000)


def test_progress_is_silent_off_a_terminal(capsys):
    with console.progress("thinking", total=3) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_json_is_one_document_of_finite_numbers(capsys):
    console.print_json({"a": [1.5, "Å"]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1.5,\n    "Å"\n  ]\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        console.print_json(float("nan"))


def test_stages_are_told_once_and_long_ones_every_tenth(capsys):
    with console.stage_bar() as show:
        for what, part in (("inv.a", 0.1), ("inv.b", 0.3), ("md.rdf", 0.5), ("dynamics", 0.0)):
            show(what, part)
        for part in (0.01, 0.02, 0.11, 0.19, 0.2):
            show("dynamics", part)
        show("md.adf", 0.6)
        show("done", 1.0)
        show("inv.a", 0.1)
    told = [line.split()[1:] for line in capsys.readouterr().err.splitlines()]
    assert [words[0] for words in told] == [
        *("inv", "md", "dynamics", "dynamics", "dynamics", "done", "inv")
    ]
