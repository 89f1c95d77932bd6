"""One table of profiles: a row in it is a profile everywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from m3compress.app import app
from m3compress.errors import M3CompressError
from m3compress.validate.setup.limits import read_limits
from m3compress.validate.setup.profiles import PROFILES, SMOKE, Profile, profile_named

HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "scipy", "ase", "pydantic")


@pytest.fixture
def overnight(monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A profile that was added to the table, and nowhere else."""
    profile = replace(SMOKE, name="overnight", duration=50.0, n_crystals=None)
    monkeypatch.setitem(PROFILES, profile.name, profile)
    return profile


def test_names_are_those_of_the_rows() -> None:
    assert [profile.name for profile in PROFILES.values()] == list(PROFILES)


def test_an_added_profile_is_one_like_the_others(overnight: Profile) -> None:
    assert profile_named("overnight") is overnight
    # Limits that do not name it are those of all profiles.
    assert read_limits("overnight")["md.rdf"].value == read_limits("release")["md.rdf"].value == 2.0


def test_a_file_of_limits_may_name_an_added_profile(overnight: Profile, tmp_path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[md.rdf]\novernight = 0.5\n")
    assert read_limits("overnight", path)["md.rdf"].value == 0.5
    assert read_limits("ci", path)["md.rdf"].value == 2.0
    # A single limit holds for every profile.
    assert read_limits("overnight", path, ["md.rdf=3"])["md.rdf"].value == 3.0


def test_an_unknown_profile_is_told_the_ones_that_exist(overnight: Profile) -> None:
    with pytest.raises(M3CompressError, match="no profile 'thorough'") as caught:
        profile_named("thorough")
    assert caught.value.hint == "choose from smoke, ci, release, overnight"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "words", [("validate", "x.m3c.onnx", "--against", "builtin"), ("release", "builtin")]
)
def test_the_command_line_asks_the_table(overnight: Profile, words: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, [*words, "--profile", "thorough"])
    assert isinstance(refused.exception, M3CompressError)
    assert "overnight" in (refused.exception.hint or "")
    # A known one gets as far as the limit, which is wrong.
    known = CliRunner().invoke(app, [*words, "--profile", "overnight", "--limit", "md.rdf"])
    assert "profile" not in str(known.exception)


@pytest.mark.parametrize("command", ["validate", "release"])
def test_help_names_every_profile(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
    assert "|".join(PROFILES) in shown


def test_the_table_is_light() -> None:
    code = (
        "import sys, m3compress.validate.setup.profiles\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
