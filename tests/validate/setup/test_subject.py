"""Whose behaviour is measured, and on how many threads."""

from __future__ import annotations

import torch

from m3compress.models import potential


def test_models_run_on_their_own_threads_and_leave_those_of_the_process(
    builtin_spec, silica_zoo, monkeypatch
):
    seen = []
    evaluate = potential.evaluate

    def watched(*args, **kwargs):
        seen.append(torch.get_num_threads())
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(potential, "evaluate", watched)
    before = torch.get_num_threads()
    subjects = [builtin_spec.with_threads(threads).open() for threads in (1, 2)]
    for subject in subjects:
        subject.evaluate(silica_zoo[0].atoms)
    assert seen == [1, 2]
    assert torch.get_num_threads() == before
