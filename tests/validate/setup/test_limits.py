"""The table of limits and what a user may change in it."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from m3compress.validate.run import CHECKS, STUDENT_CHECKS
from m3compress.validate.setup.limits import LimitError, read_limits
from m3compress.validate.setup.profiles import PROFILES


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "limits.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_every_check_has_a_limit_and_every_limit_a_check():
    assert set(read_limits("ci")) == {check.id for check in (*CHECKS, *STUDENT_CHECKS)}
    for checks in (CHECKS, STUDENT_CHECKS):
        assert len({check.id for check in checks}) == len(checks)


@pytest.mark.parametrize("profile", PROFILES)
def test_shipped_limits_have_units_and_sources(profile):
    for name, limit in read_limits(profile).items():
        assert limit.unit, name
        assert limit.source, name
        assert not limit.overridden
        # What informs only is never mandatory, but for profiles that cannot decide it.
        assert limit.mandatory == ((read_limits("release")[name].value) is not None), name


def test_a_profile_has_its_own_values():
    drifts = [read_limits(p)["md.nve-drift"].value for p in ("smoke", "ci", "release")]
    assert drifts == [0.5, 0.05, 0.05]
    assert {read_limits(p)["md.adf"].value for p in ("smoke", "ci", "release")} == {1.0}


def test_shorter_profiles_are_never_stricter():
    shipped = tomllib.loads(files("m3compress.validate.setup").joinpath("limits.toml").read_text())
    for tier, checks in shipped.items():
        for name in checks:
            values = [read_limits(p)[f"{tier}.{name}"].value for p in ("smoke", "ci", "release")]
            sizes = [float("inf") if value is None else value for value in values]
            assert sizes == sorted(sizes, reverse=True), name


def test_a_file_overrides_and_leaves_the_rest(write):
    path = write(
        "[md.rdf]\nlimit = 7\n[md.adf]\nci = 2.5\n[md.msd]\nlimit = 50\nmandatory = true\n"
        "[md.vdos]\nlimit = false\n"
    )
    ci, smoke = read_limits("ci", path), read_limits("smoke", path)
    # A plain limit holds for every profile; one of a profile for that profile.
    assert ci["md.rdf"].value == smoke["md.rdf"].value == 7
    assert ci["md.adf"].value == 2.5
    assert smoke["md.adf"].value == 1
    assert ci["md.msd"].value == 50
    assert ci["md.msd"].mandatory
    assert ci["md.vdos"].value is None
    assert ci["md.rdf"].unit == read_limits("ci")["md.rdf"].unit
    changed = {name for name, limit in ci.items() if limit.overridden}
    assert changed == {"md.rdf", "md.adf", "md.msd", "md.vdos"}


def test_single_limits_win_over_the_file(write):
    path = write("[md.rdf]\nlimit = 7\nci = 8\n")
    found = read_limits("ci", path, ["md.rdf = 9", "inv.energy=1e-3"])
    assert found["md.rdf"].value == 9
    assert found["inv.energy"].value == 1e-3
    assert found["inv.energy"].overridden
    assert not found["inv.rotation"].overridden
    assert read_limits("ci", path)["md.rdf"].value == 8


def test_a_limit_says_what_it_was_and_whether_it_was_loosened(write):
    path = write(
        "[md.rdf]\nlimit = 99\n[md.adf]\nlimit = 0.5\n[md.msd]\nlimit = 50\nmandatory = true\n"
        "[md.vdos]\nlimit = false\n[inv.energy]\nmandatory = false\n"
        '[inv.rotation]\nsource = "the same limit"\n'
    )
    shipped, found = read_limits("ci"), read_limits("ci", path)
    changed = {name for name, limit in found.items() if limit.overridden}
    assert changed == {"md.rdf", "md.adf", "md.msd", "md.vdos", "inv.energy"}
    assert {n for n in changed if found[n].loosened} == {"md.rdf", "md.vdos", "inv.energy"}
    for name in changed:
        assert found[name].shipped.value == shipped[name].value
        assert found[name].shipped.mandatory == shipped[name].mandatory
    same = read_limits("ci", single=[f"md.rdf={shipped['md.rdf'].value}"])
    assert not same["md.rdf"].overridden


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("md.rfd", "md.rdf"), ("inv.permutations", "inv.permutation"), ("prop.relaxx", "prop.relax")],
)
def test_an_unknown_check_is_told_the_nearest(write, unknown, nearest):
    for given in ({"single": [f"{unknown}=1"]}, {"overriding": write(f"[{unknown}]\nlimit=1\n")}):
        with pytest.raises(LimitError, match="there is no check") as caught:
            read_limits("ci", **given)
        assert nearest in (caught.value.hint or "")


@pytest.mark.parametrize("value", ["abc", "", "nan", "inf", "-1", "1,5"])
def test_a_bad_number_is_refused(value):
    with pytest.raises(LimitError, match=r"md\.rdf"):
        read_limits("ci", single=[f"md.rdf={value}"])


def test_a_single_limit_needs_a_value():
    with pytest.raises(LimitError, match="not id=value"):
        read_limits("ci", single=["md.rdf"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[md.rdf]\nlimit = true\n", "expected a number or false"),
        ('[md.rdf]\nlimit = "3"\n', "expected a number or false"),
        ("[md.rdf]\nlimit = nan\n", "expected a finite number"),
        ("[md.rdf]\nci = -3\n", "expected a finite number"),
        ("[md.rdf]\nlimmit = 3\n", "field 'limmit'"),
        ('[md.rdf]\nmandatory = "no"\n', "expected true or false"),
        ("[md]\nrdf = 3\n", "not a table of checks"),
        ("limit = 3\n", "not a table of checks"),
        ("[md.rdf\n", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused(write, text, message):
    with pytest.raises(LimitError, match=message):
        read_limits("ci", write(text))


def test_a_missing_or_binary_file_is_refused(tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing", binary, tmp_path):
        with pytest.raises(LimitError, match="cannot be read"):
            read_limits("ci", path)
