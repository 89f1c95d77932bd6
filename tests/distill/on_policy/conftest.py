"""A student that is another potential, and labels that a round can add to."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from soft_spheres import CUTOFF, SPEC

from m3compress.distill.on_policy.settings import OwnDynamics
from m3compress.engines.calculators import CalculatorSpec


def spheres_of(sigma):
    return CalculatorSpec.parse(SPEC.format(sigma), cutoff=CUTOFF)


@pytest.fixture(scope="session")
def twin():
    """A student that is as good as its teacher."""
    return spheres_of(2.0)


@pytest.fixture(scope="session")
def larger():
    """One that is wrong wherever it goes."""
    return spheres_of(2.1)


@pytest.fixture(scope="session")
def how() -> OwnDynamics:
    return OwnDynamics(learned=2, held_back=2, steps=40, every=5, judged=2, frames=4)


@pytest.fixture
def store(labelled, tmp_path):
    """A copy of the labels, to be added to."""
    ignored = shutil.ignore_patterns("training*")
    shutil.copytree(labelled.folder, tmp_path / "work", ignore=ignored)
    return replace(labelled, folder=tmp_path / "work")
