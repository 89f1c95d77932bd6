"""What is known of the structures of the training: from the model's metadata, and from frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from m3compress.api import resolve_source
from m3compress.errors import CheckpointError
from m3compress.models.domain import with_domain
from m3compress.models.potential import Potential
from m3compress.models.readers.matgl import read_matgl
from m3compress.models.writers.matgl import save_matgl

KNOWN = {"O-O": 1.2, "O-Si": 1.5}


def test_metadata_come_back(random_potential: Callable[..., Potential], tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "elements": ("O", "Si"), "hidden": (16, 16), "readout_hidden": (10, 16, 16),
        "triplet_basis": "smooth", "edge_bias": True, "message_activation": "identity",
    }  # fmt: skip
    save_matgl(random_potential(0, "matgl-4.1", **sizes), tmp_path, {"shortest_distances": KNOWN})
    assert read_matgl(tmp_path).provenance.shortest == KNOWN


def test_garbled_metadata_are_refused(matgl_folder: Path) -> None:
    assert read_matgl(matgl_folder).provenance.shortest == {}
    description = json.loads((matgl_folder / "model.json").read_text())
    description["metadata"] = {"shortest_distances": {"Na-Xe": 1.0}}
    (matgl_folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"model\.json.*'Na-Xe'"):
        read_matgl(matgl_folder)


def test_frames_add_to_what_the_model_knows(tmp_path: Path) -> None:
    potential = read_matgl(Path(resolve_source("builtin")))
    known = potential.provenance.shortest
    assert set(known) == {"O-O", "O-Si", "Si-Si"}
    frame = bulk("Si", a=4.0)
    frame.calc = SinglePointCalculator(frame, forces=np.zeros((2, 3)))
    write(tmp_path / "labels.extxyz", frame)
    found = with_domain(potential, tmp_path / "labels.extxyz").provenance.shortest
    assert found["Si-Si"] == pytest.approx(4.0 * 3**0.5 / 4, abs=1.01e-4)
    assert found["O-Si"] == known["O-Si"]
