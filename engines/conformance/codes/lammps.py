"""LAMMPS in this process: its own commands, with the model in a pair style or in a fix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms, units

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.engines.artefact import load_artefact
from m3compress.engines.codes.boxes import turned
from m3compress.engines.codes.lammps import attach, start
from m3compress.engines.codes.lammps.folder import built_plugin
from m3compress.engines.codes.lammps.structure import types_of
from m3compress.engines.conformance.code import OF_RUNTIMES, Given, Motion
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import StructureError

#: Let a model act in a LAMMPS that has a box: (``lammps.lammps``, element of every type).
Act = Callable[[Any, Sequence[str]], object]

_EVERY: Final = 5  # steps between two energies
#: What LAMMPS calls our messages, of the pair style.
_OURS: Final = "m3compress: "
_BAR: Final = 1.0 / units.bar  # of an eV/Å³
_PS: Final = 1000.0 * units.fs  # in ASE's unit of time
#: xx, yy, zz, xy, xz, yz as a matrix.
_MATRIX: Final = [[0, 3, 4], [3, 1, 5], [4, 5, 2]]
#: The same, of nine components: yx, zx, zy follow.
_NINE: Final = [[0, 3, 4], [6, 1, 5], [7, 8, 2]]
#: Å around what has no cell: LAMMPS has no bins for boxes that are much smaller than the cutoff.
_MARGIN: Final = 10.0
_MEASURED: Final = """
compute energies all pe/atom
compute total all reduce sum c_energies
compute virials all centroid/stress/atom NULL virial
compute tallied all reduce sum c_virials[*]
compute pressure all pressure NULL virial
thermo_style custom step pe etotal c_total c_tallied[*] c_pressure[*]
thermo {every}
"""


class LammpsCode:
    """A model in LAMMPS.

    Args:
        act: Lets the model act.
        title: How it does.
    """

    gives: frozenset[Given] = OF_RUNTIMES
    refuses: frozenset[str] = frozenset()

    def __init__(self, act: Act, title: str) -> None:
        self._act = act
        self._lmp = start()
        self.title = f"LAMMPS {self._lmp.version()}, {title}"

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """What LAMMPS tallies at step 0, turned back.

        Raises:
            StructureError: If it has no meaningful energy.
        """
        rotation, lmp, n_atoms = self._take(atoms), self._lmp, len(atoms)
        order = np.argsort(lmp.numpy.extract_atom("id")[:n_atoms])
        energies = np.array(lmp.numpy.extract_compute("energies", 1, 1)[:n_atoms])[order]
        forces = np.array(lmp.numpy.extract_atom("f")[:n_atoms])[order] @ rotation
        virial = np.full((3, 3), np.nan)
        if atoms.pbc.all():
            pressure = np.array(lmp.numpy.extract_compute("pressure", 0, 1))[_MATRIX]
            virial = -(rotation.T @ pressure @ rotation) / _BAR * atoms.get_volume()
        parts = np.array(lmp.numpy.extract_compute("virials", 1, 2)[:n_atoms])[order]
        # Stresses, times volumes: of the sign of ∂E/∂strain, unlike pressures.
        virials = rotation.T @ parts[:, _NINE] @ rotation / _BAR
        return Evaluation(float(lmp.get_thermo("pe")), energies, forces, virial, virials)

    def run(self, atoms: Atoms, *, timestep: float, n_steps: int) -> Motion:
        """``fix nve``.

        Raises:
            StructureError: If an atom gets lost.
        """
        self._take(atoms)
        self._do(f"fix nve all nve\ntimestep {timestep / 1000}\nrun 0 post no")
        energies = [float(self._lmp.get_thermo("etotal"))]
        for _ in range(n_steps // _EVERY):
            self._do(f"run {_EVERY} pre no post no")
            energies.append(float(self._lmp.get_thermo("etotal")))
        times = timestep * _EVERY * np.arange(len(energies), dtype=np.float64)
        return Motion(times, np.array(energies))

    def _take(self, atoms: Atoms) -> FloatArray:
        """Make atoms and box anew, and evaluate them; returns what turned them."""
        placed = atoms.copy()
        # LAMMPS puts atoms into its domains, which takes numbers; what is none comes later.
        placed.positions = np.nan_to_num(atoms.positions)
        if not atoms.cell.rank:
            placed.center(vacuum=_MARGIN)
            placed.positions = np.nan_to_num(atoms.positions)
        placed, rotation = turned(placed)
        symbols = list(types_of(placed))
        self._do(_setup(placed))
        types = [1 + symbols.index(symbol) for symbol in atoms.symbols]
        self._lmp.create_atoms(
            *(len(atoms), list(range(1, len(atoms) + 1)), types),
            *(
                values.ravel().tolist()
                for values in (placed.positions, placed.get_velocities() * _PS)
            ),
            shrinkexceed=True,
        )
        self._guarded(lambda: self._act(self._lmp, symbols))
        self._do(_MEASURED.format(every=_EVERY) + "run 0 post no")
        if not np.isfinite(atoms.positions).all():
            self._lmp.numpy.extract_atom("x")[: len(atoms)] += 0.0 * atoms.positions
            self._do("run 1 pre no post no")
        return rotation

    def _do(self, commands: str) -> None:
        self._guarded(lambda: self._lmp.commands_string(commands))

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            _, ours, message = str(error).partition(_OURS)
            if not ours:
                raise
            raise StructureError(message.partition("\n")[0]) from error


def _setup(atoms: Atoms) -> str:
    (x, _, _), (xy, y, _), (xz, yz, z) = atoms.cell.array
    boundary = " ".join("p" if periodic else "m" for periodic in atoms.pbc)
    masses = types_of(atoms).values()
    return f"""
clear
units metal
atom_modify map array
boundary {boundary}
region box prism 0 {x} 0 {y} 0 {z} {xy} {xz} {yz}
create_box {len(masses)} box
""" + "\n".join(f"mass {number} {mass}" for number, mass in enumerate(masses, 1))


def open_attached(path: Path, threads: int | None) -> LammpsCode:
    """LAMMPS with an exported file in a ``fix external``.

    Raises:
        ArtefactError: If the file cannot be opened.
        MissingDependencyError: If LAMMPS is not installed.
    """
    evaluator = ArtefactEvaluator(path, threads=threads)
    return LammpsCode(lambda lmp, symbols: attach(lmp, evaluator, symbols), "fix external")


def open_lammps(path: Path, threads: int | None) -> LammpsCode:
    """LAMMPS with an exported file in the pair style, on one rank.

    Raises:
        ArtefactError: If the file is none of ours.
        MissingDependencyError: If LAMMPS is not installed, or the pair style was not built for it.
    """
    model, plugin = load_artefact(path).path.resolve(), built_plugin()
    several = "" if threads in (None, 1) else f"package omp {threads}\n"

    def act(lmp: Any, symbols: Sequence[str]) -> None:
        lmp.commands_string(
            f"plugin load {plugin}\n{several}pair_style m3compress\n"
            f'pair_coeff * * "{model}" {" ".join(symbols)}'
        )

    return LammpsCode(act, "pair_style m3compress")
