"""The command line before any work starts: help, version, usage errors, and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from m3compress import __version__
from m3compress.models.config import CONVENTIONS

COMMANDS = ("inspect", "export", "bench", "distill", "doctor", "conformance")
HEAVY = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy", "scipy", "ase", "vesin", "matgl")
#: Modules that the command line may import before any work starts, Python's own among them; 178
#: take 0.2 s of a processor of 2.4 GHz.
MODULES = 250
USAGE = 2


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "m3compress", *arguments]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_help_names_every_command_and_the_exit_codes():
    result = run("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    for word in (*COMMANDS, "--version", "--verbose", "examples:", "exit codes: 0 "):
        assert word in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_runnable_examples(command):
    result = run(command, "-h")
    assert result.returncode == 0
    examples = [line for line in result.stdout.splitlines() if line.startswith("    m3compress ")]
    assert len(examples) >= 2
    assert all(line.split()[1] == command for line in examples)
    assert "exit codes: 0 " in result.stdout


@pytest.mark.parametrize("command", ["inspect", "export"])
def test_help_names_the_conventions_that_there_are(command):
    text = " ".join(run(command, "--help").stdout.split())
    assert [name for name in CONVENTIONS if name not in text] == []


def imported(*arguments: str) -> list[str]:
    """The modules that are there at the end of a command."""
    code = (
        "import sys, json, m3compress.__main__ as cli\n"
        "try:\n    cli.main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "json.dump(list(sys.modules), sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return json.loads(result.stderr)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["export", "--help"], ["--version"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments):
    assert set(imported(*arguments)).isdisjoint(HEAVY)


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_answers_at_once(argument):
    # Counted and not timed: what is imported is what it takes, and a busy machine counts the same.
    assert len(imported(argument)) < MODULES


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"m3compress {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "nonsense"),
        (["export"], "model"),
        (["export", "x", "--to", "floppy"], "floppy"),
        (["export", "x", "--precision", "int1"], "int1"),
        (["export", "x", "--three-body", "prune"], "prune=P"),
        (["export", "x", "--three-body", "prune=1.5"], "prune=1.5"),
        (["export", "x", "--three-body", "Auto"], "auto"),
        (["export", "x", "--three-body", "triplets"], "auto, keep, factorize"),
        (["release", "x", "--three-body", "factorise"], "factorise"),
        (["export", "x", "--max-atoms", "0"], "--max-atoms"),
        (["export", "x", "--no-parity"], "--no-parity"),
        (["bench", "x", "--sizes", "10,,20"], "10,,20"),
        (["bench", "x", "--sizes", "0"], "--sizes"),
        (["bench", "x", "--rounds", "0"], "--rounds"),
        (["bench", "x", "--threads", "0"], "--threads"),
        (["doctor", "x"], "x"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_exit_with_2_and_say_what_was_wrong(arguments, complaint):
    result = run(*arguments)
    assert result.returncode == USAGE
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
