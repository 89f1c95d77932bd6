"""The running average, against its recurrence."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from m3compress.distill.training.average import running_average


def test_the_average_forgets_the_first_steps_quickly():
    model = nn.Linear(1, 1, bias=False)
    average = running_average(model, decay=0.9)
    expected = None
    for step in range(200):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update_parameters(model)
        # The first update copies; update n keeps (1 + n) / (10 + n), but no more than the decay.
        kept = min(0.9, (1 + step) / (10 + step))
        expected = step if expected is None else kept * expected + (1 - kept) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
