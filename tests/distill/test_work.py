"""The folder of a distillation: its own, and of one at a time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from m3compress.distill.work import BUDGET, SETTINGS, decided_once, working_in
from m3compress.errors import M3CompressError

DOCUMENT = {"minutes": 5, "seed": 0}


def work(folder, document=None, *, resume=False):
    with working_in(folder, document or DOCUMENT, resume=resume):
        pass


def begun(folder):
    """A folder in which everything was decided."""
    work(folder)
    (folder / BUDGET).write_text("{}")


def test_it_is_made_and_taken_up_again_only_when_asked(tmp_path):
    begun(tmp_path / "a" / "b")
    with pytest.raises(M3CompressError, match="begun before") as caught:
        work(tmp_path / "a" / "b")
    assert "--resume" in caught.value.hint
    work(tmp_path / "a" / "b", resume=True)


def test_that_of_another_is_refused_and_what_differs_is_named(tmp_path):
    begun(tmp_path / "a")
    with pytest.raises(M3CompressError, match="another distillation: seed differ"):
        work(tmp_path / "a", {**DOCUMENT, "seed": 1}, resume=True)


def test_one_that_came_to_nothing_is_no_obstacle(tmp_path):
    work(tmp_path / "a")
    work(tmp_path / "a", {**DOCUMENT, "minutes": 50})
    assert json.loads((tmp_path / "a" / SETTINGS).read_text())["minutes"] == 50


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(M3CompressError, match="something else"):
        work(tmp_path, resume=True)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_two_at_a_time_are_refused(tmp_path):
    with (
        working_in(tmp_path, DOCUMENT, resume=False),
        pytest.raises(M3CompressError, match="another distillation is working"),
    ):
        work(tmp_path, resume=True)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_damaged_settings_are_an_error(tmp_path, content):
    begun(tmp_path)
    (tmp_path / SETTINGS).write_text(content)
    with pytest.raises(M3CompressError):
        work(tmp_path, resume=True)


def test_a_place_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(M3CompressError, match="cannot work in"):
        work(tmp_path / "file")


def test_a_decision_is_made_once_and_for_one_teacher(tmp_path, spheres):
    assert decided_once(tmp_path, spheres, lambda: {"n": 1}) == {"n": 1}
    assert decided_once(tmp_path, spheres, lambda: {"n": 2}) == {"n": 1}
    with pytest.raises(M3CompressError, match="another teacher"):
        decided_once(tmp_path, replace(spheres, sha256="other"), lambda: {"n": 1})
