"""The table of targets: what ``m3compress export --to`` writes, and who writes it.

A new target is a module with the two functions of :class:`Writer`, one row here, and its test.
Modules are named, not imported, so that the command line can list the targets at no cost.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from m3compress.contract.backends import Backend, backend_named
from m3compress.contract.rows import row_named

if TYPE_CHECKING:
    from m3compress.contract.manifest import Manifest, Parity
    from m3compress.models.potential import Potential


#: Told a stage and its outcome as the work goes on.
Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is not on the disk yet.

    Attributes:
        content: Its bytes.
        manifest: What it is, without its hash and without what is measured on it.
    """

    content: bytes
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How to write a potential.

    Attributes:
        reason: Why its three-body form was chosen.
        precision: ``float32`` or ``mixed``.
        max_atoms: Largest system that the file must take, where that has to be known.
        report: Told (stage, detail) as the work goes on.
        prove: Runs a file and compares it with the potential, for what is made from another file;
            raises :class:`~m3compress.errors.ParityError`.
    """

    reason: str
    precision: str
    max_atoms: int
    report: Report
    prove: Callable[[Written], Parity]


class Writer(Protocol):
    """What the module of a target holds."""

    def default_suffix(self) -> str:
        """What the name of a file ends in unless the user gives one.

        Raises:
            MissingDependencyError: If nothing is installed here that could write it.
        """

    def write(self, potential: Potential, order: Order) -> Written:
        """Write a potential in its three-body form.

        Raises:
            ExportError: If it cannot be written.
            ParityError: If a file that it is made from disagrees with the potential.
            MissingDependencyError: If a package is missing.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something to export to.

    Attributes:
        name: As in ``--to``.
        backends: Names of the backends whose files may come of it, which share one suffix.
        module: Who writes it; see :class:`Writer`.
    """

    name: str
    backends: tuple[str, ...]
    module: str

    @property
    def suffix(self) -> str:
        """What the names of its files must end in."""
        return self.candidates[0].suffix

    @property
    def candidates(self) -> tuple[Backend, ...]:
        """Rows of ``backends``, the preferred one first."""
        return tuple(backend_named(name) for name in self.backends)

    def load_writer(self) -> Writer:
        """Import the module."""
        return cast("Writer", importlib.import_module(self.module))


#: Everything that ``--to`` takes.
TARGETS: Final[tuple[Target, ...]] = (
    Target(name="onnx", backends=("onnx",), module="m3compress.export.onnx.write"),
    # The enterprise builder first, since its engines need no second stage on the user's GPU.
    Target(
        name="tensorrt",
        backends=("tensorrt", "tensorrt-rtx"),
        module="m3compress.export.tensorrt",
    ),
    Target(name="native", backends=("native",), module="m3compress.export.native.write"),
)


def target_named(name: str) -> Target:
    """The row of a target.

    Raises:
        UnknownNameError: If there is none of that name; those that exist are named.
    """
    return row_named(TARGETS, "target", name)
