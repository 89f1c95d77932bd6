"""Relax alpha-quartz and run constant-energy dynamics with an exported model.

    python examples/relax_and_nve.py model.m3c.onnx

Prints the relaxed lattice, which can be compared with experiment (a = 4.913 Å, c = 5.405 Å), and
how well the total energy is conserved: forces that are not the derivative of the energy show here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from rich.console import Console
from rich.progress import Progress

from m3compress import Calculator
from m3compress.errors import M3CompressError
from m3compress.models.structures.crystals import build_crystal


def relax(atoms: Atoms, console: Console, *, max_force: float = 0.01, max_steps: int = 200) -> bool:
    """Relax positions and cell in place; whether the forces fell below ``max_force`` (eV/Å)."""
    optimizer = BFGS(FrechetCellFilter(atoms), logfile=None)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("relaxing", total=max_steps)
        optimizer.attach(lambda: progress.update(task, completed=optimizer.nsteps))
        return bool(optimizer.run(fmax=max_force, steps=max_steps))


def run_nve(
    atoms: Atoms, console: Console, *, n_steps: int, time_step: float, temperature: float
) -> np.ndarray:
    """Velocity Verlet; total energy (eV) and temperature (K) at every step, (n_steps + 1, 2).

    Args:
        atoms: The start; moved in place.
        console: Where progress is shown.
        n_steps: Number of steps.
        time_step: In fs.
        temperature: Of the system in K, after equipartition with the potential energy.
    """
    # A crystal at rest gives half of its kinetic energy to the springs between the atoms.
    speeds = np.sqrt(units.kB * 2 * temperature / atoms.get_masses())
    atoms.set_velocities(np.random.default_rng(0).normal(size=(len(atoms), 3)) * speeds[:, None])
    Stationary(atoms)
    dynamics = VelocityVerlet(atoms, timestep=time_step * units.fs)
    samples = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("NVE", total=n_steps)

        def record() -> None:
            samples.append((atoms.get_total_energy(), atoms.get_temperature()))
            progress.update(task, completed=dynamics.nsteps)

        dynamics.attach(record)
        dynamics.run(n_steps)
    return np.array(samples)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artefact", type=Path, help="a model.m3c.onnx with Si and O")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="threads on the CPU (default: all cores)")
    parser.add_argument("--steps", type=int, default=1000, help="steps of NVE (default: 1000)")
    parser.add_argument("--time-step", type=float, default=1.0, help="in fs (default: 1)")
    parser.add_argument("--temperature", type=float, default=300.0, help="in K (default: 300)")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    console = Console(stderr=True)
    try:
        calculator = Calculator(
            arguments.artefact, device=arguments.device, threads=arguments.threads
        )
        atoms = build_crystal("SiO2-quartz")
        atoms.calc = calculator
        if not relax(atoms, console):
            print("the relaxation did not converge", file=sys.stderr)
            return 1
        a, _, c = atoms.cell.lengths()
        print(f"relaxed: a = {a:.3f} Å, c = {c:.3f} Å, E = {atoms.get_potential_energy():.4f} eV")

        supercell = atoms.repeat((3, 3, 3))
        supercell.calc = calculator
        samples = run_nve(
            supercell,
            console,
            n_steps=arguments.steps,
            time_step=arguments.time_step,
            temperature=arguments.temperature,
        )
    except M3CompressError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    report(samples, len(supercell), arguments.time_step)
    print(f"neighbour searches: {calculator.table.n_searches}")
    return 0


def report(samples: np.ndarray, n_atoms: int, time_step: float) -> None:
    """Print drift and fluctuation of the total energy, the first fifth left out."""
    settled = samples[len(samples) // 5 :]
    energies = settled[:, 0] / n_atoms * 1000
    times = np.arange(len(energies)) * time_step / 1000
    slope, start = np.polyfit(times, energies, 1)
    scatter = float(np.std(energies - (slope * times + start)))
    length = (len(samples) - 1) * time_step / 1000
    print(f"NVE: {n_atoms} atoms, {length:g} ps at {settled[:, 1].mean():.0f} K")
    print(f"drift {slope:+.4f} meV/atom/ps, fluctuation {scatter:.4f} meV/atom (rms)")


if __name__ == "__main__":
    sys.exit(main())
