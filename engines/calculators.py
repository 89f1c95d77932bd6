"""ASE calculators by import path, such as ``ase:diep.pretrained:make_calculator``.

The path names a class or a function that makes a calculator; arguments follow a question mark, as
``key=value`` pairs whose values are JSON where they can be (``?rc=4.0&smooth=true``), or as one
JSON object. Importing runs the code of that module: the user has named it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache, reduce
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.data import chemical_symbols

from m3compress.contract.arrays import FloatArray
from m3compress.contract.evaluation import Evaluation
from m3compress.contract.files import content_sha256
from m3compress.contract.teacher import CALCULATOR_PREFIX, DEFAULT_CUTOFF, cannot_open
from m3compress.errors import StructureError, TeacherError

_EXAMPLE: Final = (
    "expected ase:MODULE:NAME, with arguments after a question mark, as in "
    "'ase:ase.calculators.lj:LennardJones?rc=4.0&smooth=true' or "
    "'ase:package.module:Class?{\"key\": [1, 2]}'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalculatorSpec:
    """An ASE calculator; see :class:`~m3compress.contract.evaluation.EvaluatorSpec`.

    Attributes:
        module: Where it is imported from.
        name: Of the class or function in it, dots allowed: ``CHGNetCalculator.from_file``.
        arguments: Of that, a JSON object with sorted keys.
        cutoff: What is taken for its cutoff in Å: calculators do not tell.
        threads: Threads of PyTorch where the calculator uses it; None for what the process has.
    """

    module: str
    name: str
    arguments: str = "{}"
    cutoff: float = DEFAULT_CUTOFF
    threads: int | None = None

    @classmethod
    def parse(cls, text: str, *, cutoff: float = DEFAULT_CUTOFF) -> Self:
        """Read an import path with arguments; nothing is imported.

        Args:
            text: Such as ``ase:ase.calculators.lj:LennardJones?rc=4.0``.
            cutoff: What is taken for the calculator's cutoff in Å.

        Raises:
            TeacherError: If it is none.
        """
        path, _, arguments = text.removeprefix(CALCULATOR_PREFIX).partition("?")
        module, colon, name = path.partition(":")
        parts = (*module.split("."), *name.split("."))
        if not colon or not all(part.isidentifier() for part in parts):
            raise TeacherError(f"{text!r} is not the import path of a calculator", hint=_EXAMPLE)
        return cls(module=module, name=name, arguments=_parse_arguments(arguments), cutoff=cutoff)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{CALCULATOR_PREFIX}{self.module}:{self.name}"

    def open(self) -> CalculatorEvaluator:
        """Import and make it; what it prints goes to stderr, since stdout is for results.

        Raises:
            TeacherError: If that fails, or what it makes is no calculator.
        """
        with redirect_stdout(sys.stderr):
            made = self._make()
        if not hasattr(made, "get_property") and not hasattr(made, "get_potential_energy"):
            raise cannot_open(
                self.title,
                f"what it makes, {type(made).__name__}, is no ASE calculator",
                _EXAMPLE,
            )
        torch = sys.modules.get("torch")
        if self.threads is not None and torch is not None:
            torch.set_num_threads(self.threads)
        return CalculatorEvaluator(made, self.title, self.cutoff)

    def _make(self) -> Any:
        module = self._run(f"import {self.module}", lambda: importlib.import_module(self.module))
        factory = self._run(self.name, lambda: reduce(getattr, self.name.split("."), module))
        arguments = json.loads(self.arguments)
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        return self._run(f"{self.name}({shown})", lambda: factory(**arguments))

    def _run(self, what: str, step: Callable[[], Any]) -> Any:
        """Do a step of opening; whatever the code of others raises is one clear error."""
        try:
            return step()
        except Exception as error:  # other people's code fails in its own ways
            raise cannot_open(
                self.title,
                f"`{what}` raised {type(error).__name__}: {error}",
                "check the path and its arguments in Python; a module of your own is found "
                "through PYTHONPATH",
            ) from error

    def with_threads(self, threads: int) -> Self:
        """The same on so many threads."""
        return replace(self, threads=threads)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "ase",
            "module": self.module,
            "name": self.name,
            "arguments": json.loads(self.arguments),
            "cutoff": self.cutoff,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            TypeError: If it is the document of something else.
        """
        values = {name: value for name, value in document.items() if name != "kind"}
        return cls(**{**values, "arguments": json.dumps(values.get("arguments"), sort_keys=True)})

    def identity(self) -> dict[str, Any]:
        """What decides its numbers: its path, arguments, files among those, and package.

        Raises:
            M3CompressError: If a file cannot be read.
        """
        arguments = json.loads(self.arguments)
        document = {**self.to_json(), "code": self._code()}
        document["arguments"] = {name: _by_content(value) for name, value in arguments.items()}
        return document

    def _code(self) -> str:
        """Name and version of the package, or the hash of a module that is in none."""
        top = self.module.partition(".")[0]
        distributions = _distributions().get(top)
        if distributions:
            return f"{distributions[0]} {version(distributions[0])}"
        found = self._run(f"import {self.module}", lambda: find_spec(self.module))
        origin = getattr(found, "origin", None)
        return content_sha256(Path(origin)) if origin and Path(origin).is_file() else "unknown"


class CalculatorEvaluator:
    """An ASE calculator as an evaluator.

    Args:
        calculator: The calculator.
        title: What messages call it.
        cutoff: What is taken for its cutoff in Å.

    Energies of atoms are NaN where the calculator has none. Which elements it knows shows when it
    is asked.
    """

    elements: tuple[str, ...] = tuple(chemical_symbols[1:])

    def __init__(self, calculator: Any, title: str, cutoff: float) -> None:
        self._calculator = calculator
        self._title = title
        self.cutoff = cutoff

    def evaluate(self, atoms: Atoms) -> Evaluation:
        """Energy (eV), energies of the atoms, forces (eV/Å) and virial (eV).

        Raises:
            TeacherError: If the calculator has no stress or no forces.
            StructureError: If it cannot evaluate the structure, or that has no volume.
        """
        if np.linalg.matrix_rank(atoms.cell.array) < 3:
            raise StructureError(f"{self._title}: without a cell there is no stress")
        copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if hasattr(self._calculator, "reset"):
            self._calculator.reset()  # what it says is asked for, not what it said
        copy.calc = self._calculator
        try:
            # The stress first: most codes then find everything else on the way.
            virial = copy.get_stress(voigt=False) * copy.get_volume()
            forces = np.array(copy.get_forces(), dtype=np.float64)
            energy = float(copy.get_potential_energy())
            energies = self._energies(copy)
        except PropertyNotImplementedError as error:
            raise TeacherError(
                f"{self._title} does not give energy, forces and stress: {error or 'no stress'}",
                hint="switch them on by its arguments, or choose a teacher that has them",
            ) from error
        except Exception as error:
            raise StructureError(
                f"{self._title} raised {type(error).__name__}: {error}, asked about "
                f"{copy.get_chemical_formula()}",
                hint="does it know all elements of the structure?",
            ) from error
        return Evaluation(energy, energies, forces, np.array(virial, dtype=np.float64))

    def _energies(self, atoms: Atoms) -> FloatArray:
        unknown = np.full(len(atoms), np.nan)
        if "energies" not in getattr(self._calculator, "implemented_properties", ()):
            return unknown
        try:
            return np.array(atoms.get_potential_energies(), dtype=np.float64)
        except PropertyNotImplementedError:  # promised, and given on request alone (CHGNet)
            return unknown


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Installed distributions by the packages that they hold; finding them takes a second."""
    return packages_distributions()


def _parse_arguments(text: str) -> str:
    """A canonical JSON object of ``key=value&…`` or of a JSON object."""
    try:
        values = json.loads(text) if text.startswith("{") else _pairs(text)
    except ValueError as error:
        raise _unreadable(text, str(error)) from error
    if values is None or not all(name.isidentifier() for name in values):
        raise _unreadable(text, "expected key=value, each key once and a name of Python's")
    return json.dumps(values, sort_keys=True)


def _pairs(text: str) -> dict[str, Any] | None:
    """The values of ``key=value&…`` by their keys; None if it is something else."""
    pairs = [pair.partition("=") for pair in text.split("&") if pair]
    values = {name: _value(value) for name, equals, value in pairs if equals}
    return values if len(values) == len(pairs) else None


def _unreadable(text: str, why: str) -> TeacherError:
    return TeacherError(
        f"the arguments {text!r} of a calculator cannot be read: {why}", hint=_EXAMPLE
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _by_content(value: Any) -> Any:
    """An argument that is a file or a folder of files counts by what is in it."""
    if isinstance(value, str) and value and Path(value).exists():
        return {"content": content_sha256(Path(value))}
    return value
