"""A plan of few, small frames for a teacher that any process can open."""

from __future__ import annotations

import pytest
from ase.build import bulk

from m3compress.distill.data.phases import plan_data
from m3compress.distill.data.sampler import Trajectory
from m3compress.distill.data.sampling import Amounts, Sampling
from m3compress.distill.data.walls import Wall
from m3compress.distill.teachers.calculators import CalculatorSpec
from m3compress.distill.teachers.teacher import Candidate, examine
from m3compress.models.structures.frames import Named

SPHERES = "ase:ase.calculators.lj:LennardJones?sigma=2.0&epsilon=0.3&rc=4.0&smooth=true"
SALT = Named("salt", bulk("SiO", "rocksalt", a=4.5))


@pytest.fixture(scope="session")
def spheres():
    spec = CalculatorSpec.parse(SPHERES, cutoff=4.0)
    return examine(Candidate(name="spheres", spec=spec, precision="float64"), [SALT])


@pytest.fixture(scope="session")
def sampling():
    return Sampling(
        temperatures=(300.0, 600.0),
        n_atoms=8,
        amounts=Amounts(
            distorted=22, trajectory=4, validation=2, test=2, compressed=3, close=4, pairs=3
        ),
        wall=Wall(shortest=1.2),
        largest_force=1e6,
        trajectory=Trajectory(skipped=3, stride=2),
    )


@pytest.fixture(scope="session")
def plan(sampling):
    return plan_data([SALT], 4.0, sampling)
