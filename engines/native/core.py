"""A model in libm3c, with numpy arrays and errors of ours (``m3c.h`` describes the calls)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from m3compress.contract.arrays import FloatingArray
from m3compress.engines.base import Memory, Precision
from m3compress.engines.native.library import Info, Options, System, load_library
from m3compress.engines.native.system import CoreResult, CoreSystem
from m3compress.errors import (
    ArtefactError,
    M3CompressError,
    StructureError,
    UnknownNameError,
)

Rows = Literal["features", "adjoints"]
_MEMORY_NUMBERS: Final[dict[Memory, int]] = {"keep": 0, "recompute": 1, "auto": 2}
_MESSAGE_SIZE: Final = 2000
#: Of the memory that is free, what a structure may take unless the caller says it.
_SHARE_OF_MEMORY: Final = 0.5


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
        self.threads = threads or _processors()
        options = Options(
            precision=np.dtype(precision).itemsize,
            threads=self.threads,
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
    def info(self) -> Info:
        """What the model is, and how the last structure was evaluated."""
        info: Info = self._library.m3c_describe(self._handle)
        return info

    @property
    def isa(self) -> str:
        """Instruction set of the build that runs."""
        return str(self.info.isa.decode())

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that the model knows."""
        info = self.info
        letters = info.symbols[: 2 * info.n_elements].decode()
        return tuple(letters[k : k + 2].rstrip("\0") for k in range(0, len(letters), 2))

    @property
    def element_energies(self) -> tuple[float, ...]:
        """Reference energies of the elements in eV."""
        info = self.info
        return tuple(info.element_energies[: info.n_elements])

    @property
    def cutoff(self) -> float:
        """Cutoff of the edges in Å."""
        return float(self.info.cutoff)

    @property
    def n_blocks(self) -> int:
        """Rounds of message passing."""
        return int(self.info.n_blocks)

    @property
    def keeps(self) -> bool:
        """Whether the last structure was evaluated in mode ``keep``."""
        return bool(self.info.keeps)

    @property
    def bytes(self) -> float:
        """What the last structure took."""
        return float(self.info.bytes)

    def evaluate(self, system: CoreSystem, *, atom_virials: bool = True) -> CoreResult:
        """Energies, forces and virials in one call; virials of atoms if they are asked for.

        Raises:
            M3CompressError: If the system makes no sense, or does not fit into the memory.
        """
        held = self._checked(system)
        result = CoreResult.empty(system, atom_virials=atom_virials)
        self._call(
            "evaluate",
            ctypes.byref(held),
            *map(_address, (result.energies, result.forces, result.virial)),
            _address(result.atom_virials) if atom_virials else None,
        )
        return result

    def begin(self, system: CoreSystem) -> Steps:
        """Begin an evaluation in steps; see ``m3c.h``.

        Raises:
            M3CompressError: As :meth:`evaluate`.
        """
        self._call("begin", ctypes.byref(self._checked(system)))
        return Steps(self._call, self._rows, system, CoreResult.empty(system))

    def _checked(self, system: CoreSystem) -> System:
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
        n_owned, n_rows = system.n_owned, len(system.species)
        return System(n_owned, n_owned, n_rows, *(a.ctypes.data for a in arrays))

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"m3c_{name}")(self._handle, *arguments):
            message = self._library.m3c_error(self._handle).decode(errors="replace")
            text, _, hint = message.partition("; ")
            kind = StructureError if " apart" in text else M3CompressError
            raise kind(f"the native core: {text}", hint=hint or None)

    def _rows(self, what: Rows, block: int, n_rows: int) -> FloatingArray:
        """Rows of features or adjoints, as a view."""
        address = self._library.m3c_rows(self._handle, what == "adjoints", block)
        if not address:
            message = self._library.m3c_error(self._handle).decode(errors="replace")
            raise M3CompressError(
                f"the native core: {message}", hint=f"blocks 1 to {self.n_blocks - 1} have some"
            )
        width = self.info.row_width
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
    rows: Callable[[Rows, int, int], FloatingArray]
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
