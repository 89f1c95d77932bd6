"""Steps of molecular dynamics by ASE's integrators, in segments that repeat exactly.

A segment starts a new integrator from exactly known positions, momenta and cell, with a random
generator of its own (seed, first step), and hands the state on to the next. A run that is taken up
again after a segment therefore continues bit by bit as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet

from m3compress.contract.arrays import FloatArray
from m3compress.engines.dynamics.job import Job

_BAROSTAT_TIME = 100.0  # fs: volumes follow the pressure within a fraction of a picosecond


@dataclass(frozen=True)
class State:
    """Where a run is.

    Attributes:
        step: Steps done.
        positions: In Å, shape (n_atoms, 3).
        momenta: In units of ASE, shape (n_atoms, 3).
        cell: In Å, shape (3, 3).
        cell_momentum: That of the logarithm of the volume in NPT, in units of ASE; 0 before.
    """

    step: int
    positions: FloatArray
    momenta: FloatArray
    cell: FloatArray
    cell_momentum: float = 0.0

    def place_in(self, atoms: Atoms) -> None:
        """Give this state to atoms."""
        atoms.set_cell(self.cell)
        atoms.set_positions(self.positions)
        atoms.set_momenta(self.momenta)


def start(job: Job) -> State:
    """The structure with random velocities of twice the temperature, without net momentum.

    A crystal at rest gives half of its kinetic energy to its springs at once.
    """
    atoms = job.structure.copy()
    rng = np.random.default_rng([job.seed, 0])
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * job.temperature, rng=rng)
    Stationary(atoms)
    return State(
        0, atoms.get_positions(), atoms.get_momenta(), np.array(atoms.cell, dtype=np.float64)
    )


def run_segment(job: Job, atoms: Atoms, state: State, stop: int) -> Iterator[int]:
    """Step from ``state.step`` to ``stop``; after each step the atoms are in ``atoms``.

    Args:
        job: The run.
        atoms: Has the calculator; its positions, momenta and cell are overwritten.
        state: Where to start.
        stop: Last step; a segment does not cross the end of the equilibration.

    Yields:
        Steps done so far.
    """
    state.place_in(atoms)
    if state.step == job.equilibration and job.ensemble != "nvt":
        Stationary(atoms, preserve_temperature=False)
    integrator = _integrator(job, atoms, state)
    for step in range(state.step + 1, stop + 1):
        integrator.step()
        yield step
    atoms.info["cell_momentum"] = _cell_momentum(integrator)


def end_of_segment(job: Job, step: int) -> int:
    """Where the segment that starts at ``step`` ends."""
    border = job.equilibration if step < job.equilibration else job.total_steps
    return min(border, step + job.segment_steps)


def _integrator(job: Job, atoms: Atoms, state: State) -> MolecularDynamics:
    timestep = job.timestep * units.fs
    if state.step >= job.equilibration and job.ensemble == "nve":
        return VelocityVerlet(atoms, timestep)
    if state.step >= job.equilibration and job.ensemble == "npt":
        return _barostatted(job, atoms, state)
    return Langevin(
        atoms,
        timestep,
        temperature_K=job.temperature,
        friction=job.friction / units.fs,
        # All 3N momenta are thermal; ASE's correction for a fixed centre of mass cools them.
        fixcm=False,
        rng=np.random.default_rng([job.seed, 1, state.step]),
    )


def _barostatted(job: Job, atoms: Atoms, state: State) -> LangevinBAOAB:
    """Langevin dynamics of atoms and volume (Quigley and Probert, J. Chem. Phys. 120, 11432).

    Unlike a Nosé-Hoover barostat it does not ring, and forgets where it started. Driven by the same
    random numbers, two potentials that are almost the same stay together in a solid, so that their
    volumes can be compared pair by pair.
    """
    barostat_time = _BAROSTAT_TIME * units.fs
    integrator = LangevinBAOAB(
        atoms,
        job.timestep * units.fs,
        temperature_K=job.temperature,
        externalstress=-job.pressure * units.GPa,
        hydrostatic=True,
        T_tau=units.fs / job.friction,
        P_tau=barostat_time,
        P_mass=_cell_mass(len(atoms), barostat_time),
        rng=np.random.default_rng([job.seed, 1, state.step]),
    )
    integrator.p_eps = state.cell_momentum
    return integrator


def _cell_mass(n_atoms: int, period: float) -> float:
    """Mass of the cell for fluctuations of about a quarter of ``period``, as ASE estimates it."""
    return float(((period / 4.0) / (1.66 * units.fs) * n_atoms ** (1 / 6)) ** 2)


def _cell_momentum(integrator: MolecularDynamics) -> float:
    return float(integrator.p_eps) if isinstance(integrator, LangevinBAOAB) else 0.0
