"""The one exception family: every error a user can cause or meet, with what to do about it.

Library code raises these; the command line prints ``message`` and ``hint`` and maps the class to an
exit code (0 passed, 1 ran and failed, 2 could not run).
"""

from __future__ import annotations

from collections.abc import Iterable


class M3CompressError(Exception):
    """Base of all errors that m3compress raises on purpose.

    Args:
        message: What was got and what was expected, one sentence without a full stop.
        hint: What the user can do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Message and hint, so that a bare traceback is as helpful as the command line."""
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class UnknownNameError(M3CompressError, ValueError):
    """Something was asked for by a name that does not exist.

    Args:
        kind: Of what it is a name: "engine".
        name: The name that was given.
        known: The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}", hint=f"choose from {', '.join(known)}")


class CheckpointError(M3CompressError):
    """A model file is missing, damaged, hostile or inconsistent."""


class UnsupportedModelError(M3CompressError):
    """A model file is sound but is not an M3GNet that this toolkit can treat exactly."""


class ConventionError(M3CompressError):
    """The convention of a checkpoint (see ``docs/conventions.md``) cannot be decided."""


class StructureError(M3CompressError):
    """A structure that cannot be evaluated: unknown element, no atoms, NaN, coincident atoms.

    Args:
        message: See :class:`M3CompressError`; so ``hint``.
        hint: What the user can do about it.
        atoms: Those at fault, counted from 0.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, atoms: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.atoms = atoms


class OverlapError(StructureError):
    """Atoms are closer than any in the training domain of the model."""


class OverlapWarning(UserWarning):
    """Atoms are closer than any in the training domain of the model."""


class CapacityError(StructureError):
    """A structure is larger than the exported file was built for."""


class ArtefactError(M3CompressError):
    """An exported file is damaged, of another schema version, or not one of ours."""


class ExportError(M3CompressError):
    """The graph could not be built or written."""


class ParityError(M3CompressError):
    """The exported file ran and disagrees with the model it came from."""

    exit_code = 1


class TeacherError(M3CompressError):
    """A teacher of a distillation cannot be opened, or its answers cannot be believed."""


class MissingDependencyError(M3CompressError):
    """An optional package is needed for what was asked."""


class OutputExistsError(M3CompressError):
    """An output file is in the way and ``--force`` was not given."""
