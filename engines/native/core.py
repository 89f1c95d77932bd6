"""A model in libm3c, with numpy arrays and errors of ours (``m3c.h`` describes the calls)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, get_args

import numpy as np
import numpy.typing as npt
from ase import Atoms

from m3compress.contract.tables import Float64Array, FloatingArray, Int64Array
from m3compress.engines.base import ClosePair, Memory, Precision
from m3compress.engines.native.library import load_library
from m3compress.engines.native.system import CoreResult, CoreSystem
from m3compress.errors import (
    ArtefactError,
    M3CompressError,
    StructureError,
    UnknownNameError,
)

_MEMORY_NUMBERS: Final[dict[Memory, int]] = {"keep": 0, "recompute": 1, "auto": 2}
_MESSAGE_SIZE: Final = 2000
#: Of the memory that is free, what a structure may take unless the caller says it.
_SHARE_OF_MEMORY: Final = 0.5


class _Options(ctypes.Structure):
    _fields_ = (
        ("precision", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("memory", ctypes.c_int),
        ("budget", ctypes.c_double),
        ("isa", ctypes.c_char_p),
    )


class _System(ctypes.Structure):
    _fields_ = (
        ("n_owned", ctypes.c_int64),
        ("n_rows", ctypes.c_int64),
        ("species", ctypes.c_void_p),
        ("begins", ctypes.c_void_p),
        ("neighbors", ctypes.c_void_p),
        ("vectors", ctypes.c_void_p),
    )


class _Structure(ctypes.Structure):
    _fields_ = (
        ("n_atoms", ctypes.c_int64),
        ("species", ctypes.c_void_p),
        ("positions", ctypes.c_void_p),
        ("cell", ctypes.c_void_p),
        ("periodic", ctypes.c_void_p),
        ("limits", ctypes.c_void_p),
    )


class _Pair(ctypes.Structure):
    _fields_ = (
        ("first", ctypes.c_int64),
        ("second", ctypes.c_int64),
        ("distance", ctypes.c_double),
        ("ratio", ctypes.c_double),
    )


class Core:
    """A model in the native core.

    Args:
        path: ``NAME.m3c.safetensors`` with tables.
        precision: ``float32`` or ``float64``.
        threads: Of an evaluation; None for all processors that this process may use.
        memory: ``keep`` edge features, ``recompute`` them, or ``auto``: keep, where they fit.
        budget: Bytes that a structure may take in mode ``auto``; None for half of what is free.
        isa: ``baseline``, ``avx2`` or ``avx512``; None for the best that runs here.

    Raises:
        ArtefactError: If the file cannot be used.
        MissingDependencyError: If the library was not built.
        UnknownNameError: If there is no such precision or memory mode.
        ValueError: If ``threads`` is below 1.
    """

    def __init__(
        self,
        path: Path,
        *,
        precision: Precision = "float32",
        threads: int | None = None,
        memory: Memory = "auto",
        budget: float | None = None,
        isa: str | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise UnknownNameError("precision", precision, get_args(Precision))
        if memory not in _MEMORY_NUMBERS:
            raise UnknownNameError("memory mode", memory, _MEMORY_NUMBERS)
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}, expected at least 1")
        self._library = load_library()
        self.dtype: npt.DTypeLike = np.dtype(precision)
        self.precision = precision
        options = _Options(
            precision=np.dtype(precision).itemsize,
            threads=threads or _processors(),
            memory=_MEMORY_NUMBERS[memory],
            budget=_free_memory() * _SHARE_OF_MEMORY if budget is None else budget,
            isa=isa.encode() if isa else None,
        )
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        self._handle = self._library.m3c_open(
            os.fsencode(path), ctypes.byref(options), message, _MESSAGE_SIZE
        )
        if not self._handle:
            text, _, hint = message.value.decode(errors="replace").partition("; ")
            raise ArtefactError(f"{path.name}: {text}", hint=hint or "export the model again")

    def close(self) -> None:
        """Give its memory back."""
        if self._handle:
            self._library.m3c_close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    @property
    def isa(self) -> str:
        """Instruction set of the build that runs."""
        return str(self._library.m3c_isa(self._handle).decode())

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that the model knows."""
        count = self._library.m3c_n_elements(self._handle)
        return tuple(self._library.m3c_element(self._handle, k).decode() for k in range(count))

    @property
    def element_energies(self) -> tuple[float, ...]:
        """Reference energies of the elements in eV."""
        count = self._library.m3c_n_elements(self._handle)
        return tuple(self._library.m3c_element_energy(self._handle, k) for k in range(count))

    @property
    def cutoff(self) -> float:
        """Cutoff of the edges in Å."""
        return float(self._library.m3c_cutoff(self._handle))

    @property
    def n_blocks(self) -> int:
        """Rounds of message passing."""
        return int(self._library.m3c_n_blocks(self._handle))

    @property
    def keeps(self) -> bool:
        """Whether the last structure was evaluated in mode ``keep``."""
        return bool(self._library.m3c_keeps(self._handle))

    @property
    def bytes(self) -> float:
        """What the last structure took."""
        return float(self._library.m3c_bytes(self._handle))

    def evaluate(self, system: CoreSystem) -> CoreResult:
        """Energies, forces and virials in one call.

        Raises:
            M3CompressError: If the system makes no sense, or does not fit into the memory.
        """
        held = self._checked(system)
        result = CoreResult.empty(system)
        self._call(
            "evaluate",
            ctypes.byref(held),
            *map(_address, (result.energies, result.forces, result.virial, result.atom_virials)),
        )
        return result

    def evaluate_structure(
        self, atoms: Atoms, species: Int64Array, limits: Float64Array | None = None
    ) -> tuple[CoreResult, ClosePair | None]:
        """Energies, forces and virials of a structure whose edges the core finds.

        Args:
            atoms: A structure that :func:`~m3compress.contract.neighbors.check_structure` accepts.
            species: Position of every atom's element, shape (n_atoms,).
            limits: Shortest distances by elements in Å, shape (n_elements, n_elements); 0 for any.

        Returns:
            The result, without virials of atoms, and, with limits, the pair of atoms that is
            closest by its limit, if any has one.

        Raises:
            M3CompressError: If atoms coincide, or the structure does not fit into the memory.
        """
        cell = np.array(atoms.cell.complete() if atoms.pbc.any() else np.eye(3), dtype=np.float64)
        arrays = (
            species.astype(np.int32),
            np.ascontiguousarray(atoms.positions, dtype=np.float64),
            cell,
            atoms.pbc.astype(np.int32),
        )
        bounds = None if limits is None else np.ascontiguousarray(limits, dtype=np.float64)
        held = _Structure(
            len(atoms),
            *(a.ctypes.data for a in arrays),
            None if bounds is None else bounds.ctypes.data,
        )
        n_atoms, pair = len(atoms), _Pair()
        energies, forces, virial = np.zeros(n_atoms), np.zeros((n_atoms, 3)), np.zeros((3, 3))
        self._call(
            "evaluate_structure",
            ctypes.byref(held),
            *map(_address, (energies, forces, virial)),
            None,
            ctypes.byref(pair),
        )
        close = ClosePair(pair.first, pair.second, pair.distance, pair.ratio)
        result = CoreResult(energies, forces, virial, np.zeros((0, 3, 3)))
        return result, None if pair.first < 0 else close

    def begin(self, system: CoreSystem) -> Steps:
        """Begin an evaluation in steps; see ``m3c.h``.

        Raises:
            M3CompressError: As :meth:`evaluate`.
        """
        self._call("begin", ctypes.byref(self._checked(system)))
        return Steps(self._call, self._rows, system, CoreResult.empty(system))

    def _checked(self, system: CoreSystem) -> _System:
        """Types and shapes; what the numbers are is for the core to judge."""
        n_edges = len(system.neighbors)
        wrong = (
            system.species.dtype != np.int32
            or system.begins.dtype != np.int64
            or system.neighbors.dtype != np.int32
            or system.vectors.dtype != self.dtype
            or system.vectors.shape != (n_edges, 3)
            or len(system.species) < system.n_owned
            or system.begins.ndim != 1
            or not all(a.flags.c_contiguous for a in (system.vectors, system.begins))
        )
        if wrong or system.begins[-1] != n_edges:
            raise M3CompressError(
                "the arrays of a system do not fit each other or the precision of the core"
            )
        arrays = (system.species, system.begins, system.neighbors, system.vectors)
        return _System(system.n_owned, len(system.species), *(a.ctypes.data for a in arrays))

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"m3c_{name}")(self._handle, *arguments):
            message = self._library.m3c_error(self._handle).decode(errors="replace")
            text, _, hint = message.partition("; ")
            kind = StructureError if " apart" in text else M3CompressError
            raise kind(f"the native core: {text}", hint=hint or None)

    def _rows(self, name: str, block: int, n_rows: int) -> FloatingArray:
        """Rows of features or adjoints, as a view."""
        address = getattr(self._library, f"m3c_{name}")(self._handle, block)
        if not address:
            self._call(name, block)
            raise M3CompressError(
                f"the native core has no {name} of block {block}",
                hint=f"blocks 1 to {self.n_blocks - 1} have some",
            )
        width = self._library.m3c_row_width(self._handle)
        number = ctypes.c_float if self.precision == "float32" else ctypes.c_double
        buffer = (number * (n_rows * width)).from_address(address)
        return np.frombuffer(buffer, dtype=self.dtype).reshape(n_rows, width)


@dataclass(frozen=True, slots=True)
class Steps:
    """An evaluation in steps, between which features and adjoints of ghosts are exchanged.

    Attributes:
        call: Calls the core.
        rows: Views of its rows.
        system: What is evaluated.
        result: What has been found so far.
    """

    call: Callable[..., None]
    rows: Callable[[str, int, int], FloatingArray]
    system: CoreSystem
    result: CoreResult

    def forward(self, block: int) -> None:
        """A block but the last; afterwards ``features(block + 1)`` of ghosts are to be set."""
        self.call("forward", block)

    def readout(self) -> None:
        """The last block and the energies."""
        self.call("readout", _address(self.result.energies))

    def backward(self, block: int) -> None:
        """Back through a block; then ``adjoints(block)`` of ghosts belong to their owners."""
        self.call("backward", block)

    def forces(self) -> CoreResult:
        """The end; forces on ghosts belong to their owners."""
        arrays = (self.result.forces, self.result.virial, self.result.atom_virials)
        self.call("forces", *map(_address, arrays))
        return self.result

    def features(self, block: int) -> FloatingArray:
        """V as it goes into a block (not the first), to be read and written, (n_rows, width)."""
        return self.rows("features", block, len(self.system.species))

    def adjoints(self, block: int) -> FloatingArray:
        """∂E/∂v of :meth:`features`, to be read and written, (n_rows, width)."""
        return self.rows("adjoints", block, len(self.system.species))


def _address(array: FloatingArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory() -> float:
    """Bytes that are free, or can be made so; all that there are where nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(x.split()[1]) for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
