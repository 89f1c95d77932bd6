"""i-PI: a driver in Python, for ``i-pi-driver-py`` and ``<ffdirect>``; beads in one evaluation.

i-PI counts in bohr and hartree, has lattice vectors in columns, and its virial is −∂E/∂strain. It
finds the driver by the path of this file (:data:`PATH`), so that the name must not be that of i-PI.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ase.io
import numpy as np
from ase import Atoms
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_internal, unit_to_user

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.errors import M3CompressError

__DRIVER_NAME__ = "m3compress"
__DRIVER_CLASS__ = "M3CompressDriver"

#: What ``pes_path`` and ``i-pi-driver-py -m custom -P`` want.
PATH: Final = Path(__file__)

#: Å of a bohr, and hartrees of an eV, by the constants that i-PI has.
_BOHR: Final = float(unit_to_user("length", "ase", 1.0))
_EV: Final = float(unit_to_internal("energy", "ase", 1.0))

#: Energy in hartree, forces in hartree/bohr, −∂E/∂strain in hartree, and what else there is.
Answer = tuple[float, FloatArray, FloatArray, str]


class M3CompressDriver(Dummy_driver):
    """An exported file as a potential of i-PI.

    Several structures at once, as ``batch_size`` of ``<ffdirect>`` asks for, are one evaluation,
    but for graphs of old exports, which give one virial for all.

    Args:
        model: An exported file.
        template: A file that ASE reads, with the elements in the order of i-PI and the periodic
            directions.
        threads: CPU threads of one evaluation; None for all physical cores.
        verbose: As i-PI has it.
        kwargs: Whatever else i-PI gives its drivers.

    Raises:
        ArtefactError: If the model cannot be opened.
        StructureError: If the model does not know an element of the template.
    """

    def __init__(
        self,
        model: str,
        template: str,
        threads: int | None = None,
        verbose: bool = False,  # noqa: FBT001, FBT002 (as i-PI calls it)
        **kwargs: Any,
    ) -> None:
        self._template: Atoms = ase.io.read(template)
        self._evaluator = ArtefactEvaluator(model, threads=threads)
        super().__init__(verbose, **kwargs)

    def compute_structure(self, cell: FloatArray, pos: FloatArray) -> Answer:
        """One structure.

        Raises:
            StructureError: If it has no meaningful energy.
        """
        return self._all([cell], [pos])[0]

    def compute(
        self, cell: FloatArray | list[FloatArray], pos: FloatArray | list[FloatArray]
    ) -> Answer | list[Answer]:
        """One structure, or as many as lists hold.

        Raises:
            StructureError: If one has no meaningful energy.
        """
        if isinstance(cell, list):
            return self._all(cell, list(pos))
        return self.compute_structure(cell, np.asarray(pos))

    def _all(self, cells: Sequence[FloatArray], positions: Sequence[FloatArray]) -> list[Answer]:
        structures = []
        for cell, where in zip(cells, positions, strict=True):
            atoms = self._template.copy()
            atoms.set_cell(np.asarray(cell).T * _BOHR)
            atoms.positions = np.asarray(where).reshape(-1, 3) * _BOHR
            structures.append(atoms)
        try:
            found = self._evaluator.evaluate_all(structures)
        except M3CompressError as error:
            # Where i-PI asks from a thread of its own, nobody else would show it.
            sys.stderr.write(f"m3compress: {error}\n")
            raise
        return [_answer(one) for one in found]


def _answer(found: Evaluation) -> Answer:
    return (
        found.energy * _EV,
        found.forces * (_EV * _BOHR),
        -0.5 * (found.virial + found.virial.T) * _EV,
        "",
    )


def ffdirect(
    model: str | Path, template: str | Path, *, batch_size: int = 1, threads: int | None = None
) -> str:
    """The force field of an i-PI input, inside i-PI's own process.

    Args:
        model: An exported file.
        template: A file that ASE reads, with the elements in the order of i-PI.
        batch_size: Beads in one evaluation: a divisor of the number of beads.
        threads: CPU threads of one evaluation; None for all physical cores.
    """
    chosen = "" if threads is None else f", threads: {threads}"
    return f"""<ffdirect name='m3compress' threaded='False'>
  <pes>custom</pes>
  <pes_path>{PATH}</pes_path>
  <batch_size>{batch_size}</batch_size>
  <parameters>{{model: {model}, template: {template}{chosen}}}</parameters>
</ffdirect>"""
