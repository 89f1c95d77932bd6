"""The search for neighbours costs no import of torch, and leaves vesin to others as it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import m3compress.contract.neighbors
import m3compress.engines.evaluator
assert not {"torch", "vesin"} & set(sys.modules)

import torch
import vesin

search = vesin.NeighborList(cutoff=1.5, full_list=True)
points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
(centers,) = search.compute(points, torch.eye(3, dtype=torch.float64), False, "i")
assert isinstance(centers, torch.Tensor)
"""


def test_torch_is_not_imported_and_vesin_is_whole_afterwards() -> None:
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
