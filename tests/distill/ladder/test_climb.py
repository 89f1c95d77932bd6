"""A ladder labels once, trains every student, and goes on where it was killed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from m3compress.api import load_potential
from m3compress.distill.data.label_store import LabelStore
from m3compress.distill.ladder.climb import Ladder, output_of, require_free
from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.distill.pipeline import Distillation
from m3compress.distill.students import Student
from m3compress.errors import M3CompressError, OutputExistsError

STUDENTS = {
    "pairs": Student(width=4, cutoff=4.0, max_n=2, max_l=2, form="removed"),
    "wide": Student(width=8, cutoff=4.0, max_n=2, max_l=2),
}


class KilledError(BaseException):
    """Nothing catches it."""


@pytest.mark.usefixtures("in_this_process", "one_thread")
def test_labels_are_made_once_and_a_killed_ladder_goes_on(distillation, tmp_path, monkeypatch):
    settings = replace(
        distillation.settings,
        own=OwnDynamics(learned=1, held_back=1, steps=10, every=5, judged=1, frames=2),
        rounds=0,
        epochs=1,
    )
    ladder = Ladder(replace(distillation, settings=settings), STUDENTS)
    made, learned = [], []
    make, learn = LabelStore.make, Distillation.learn

    def counted(store, group, evaluator):
        made.append(group.name)
        make(store, group, evaluator)

    def killed(self):
        learned.append(self.work.name)
        if self.work.name == "wide" and learned.count("wide") == 1:
            raise KilledError
        return learn(self)

    monkeypatch.setattr(LabelStore, "make", counted)
    monkeypatch.setattr(Distillation, "learn", killed)
    output = tmp_path / "salt.m3c.safetensors"
    with pytest.raises(KilledError):
        ladder.run(output)
    assert not output_of(output, "pairs").exists()
    steps = (distillation.work / "students/pairs/training.pt").stat().st_mtime_ns
    done = Ladder(ladder.shared, STUDENTS).run(output)

    # Labels of the plan are shared; only what each of two students finds by itself, in the two
    # trajectories of its last look, is its own.
    own = [name for name in made if "own" in name]
    planned = sorted(set(made) - set(own))
    assert sorted(made) == sorted([*planned, *own])
    assert (len(own), len(planned)) == (4, len(next(iter(ladder.rungs.values())).plan.groups))
    assert (distillation.work / "students/pairs/training.pt").stat().st_mtime_ns == steps
    assert list(done.students) == ["pairs", "wide"]
    assert [one.n_parameters for one in done.students.values()] == sorted(
        one.n_parameters for one in done.students.values()
    )
    assert [one.speed.ratio for one in done.students.values()] == pytest.approx([3, 1.5])
    assert "<td>wide" in done.page.read_text() or "<td>wide*" in done.page.read_text()
    alone = load_potential(output_of(output, "wide"))
    assert alone.config.node_width == 8
    assert all(torch.isfinite(one).all() for one in alone.network.state_dict().values())
    with pytest.raises(OutputExistsError, match="salt-pairs"):
        require_free(output, STUDENTS, force=False)


def test_places_that_cannot_be_written_are_refused_before_anything_is_done(tmp_path):
    page = tmp_path / "x.ladder.html"
    page.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"ladder\.html exists"):
        require_free(tmp_path / "x.m3c.safetensors", STUDENTS, force=False)
    require_free(tmp_path / "x.m3c.safetensors", STUDENTS, force=True)
    with pytest.raises(M3CompressError, match="does not exist"):
        require_free(tmp_path / "no/x.m3c.safetensors", STUDENTS, force=True)
