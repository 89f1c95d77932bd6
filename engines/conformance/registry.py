"""The table of runtimes and MD codes that the contract judges by name.

A new one is a module with a function that opens it, and one row here; see ``docs/extending.md``.
Modules are named, not imported: this one costs nothing to import.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from m3compress.contract.rows import row_named

if TYPE_CHECKING:
    from pathlib import Path

    from m3compress.engines.conformance.code import Code

_CODES: Final = "m3compress.engines.conformance.codes"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """A runtime or an MD code.

    Attributes:
        name: What the command line calls it.
        opener: ``module:name`` of a function of (path of an exported file, threads) to a
            :class:`~m3compress.engines.conformance.code.Code`.
        is_runtime: Whether it runs the file itself, so that it takes another file or a model to
            compare it with; codes are compared with the file in its own runtime.
    """

    name: str
    opener: str
    is_runtime: bool = False

    def open(self, path: Path, threads: int | None) -> Code:
        """The code with an exported file in it.

        Raises:
            M3CompressError: If the file cannot be opened, or is none for this code.
            ImportError: If the code is not installed.
        """
        module, _, name = self.opener.partition(":")
        opener: Any = getattr(importlib.import_module(module), name)
        code: Code = opener(path, threads)
        return code


CODES: Final[tuple[CodeRow, ...]] = (
    CodeRow(name="onnxruntime", opener=f"{_CODES}.runtimes:onnxruntime", is_runtime=True),
    CodeRow(name="native", opener=f"{_CODES}.runtimes:native", is_runtime=True),
    CodeRow(name="tensorrt", opener=f"{_CODES}.runtimes:tensorrt", is_runtime=True),
    CodeRow(name="ase", opener=f"{_CODES}.ase:open_ase"),
    CodeRow(name="ipi", opener=f"{_CODES}.ipi:open_ipi"),
    CodeRow(name="openmm", opener=f"{_CODES}.openmm:open_openmm"),
    CodeRow(name="lammps", opener=f"{_CODES}.lammps:open_lammps"),
    CodeRow(name="lammps-attach", opener=f"{_CODES}.lammps:open_attached"),
    CodeRow(name="torchsim", opener=f"{_CODES}.torchsim:open_torchsim"),
)


def code_named(name: str) -> CodeRow:
    """The row of a code.

    Raises:
        UnknownNameError: If there is none of that name; those that exist are named.
    """
    return row_named(CODES, "code", name)
