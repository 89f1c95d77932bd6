"""The teacher of ``validate --teacher`` and ``release --teacher``, opened where the gate asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from m3compress.api import open_teacher, resolve_source
from m3compress.console import print_row, stderr
from m3compress.contract.files import content_sha256, expanded
from m3compress.contract.teacher import Teacher
from m3compress.models.structures.frames import Named
from m3compress.validate.setup.settings import Settings


@dataclass(frozen=True, slots=True)
class GivenTeacher:
    """A teacher as a user named it.

    Attributes:
        source: Path of a model or an exported file, ``builtin``, or what a calculator is called.
        work: Folder in which a model is exported, once, to be fast.
        convention: Of a model, where its file does not say it.
        labels: Frames that decide the convention otherwise.
    """

    source: str
    work: Path
    convention: str | None = None
    labels: Path | None = None

    def open(self, structures: Sequence[Named]) -> Teacher:
        """See :class:`~m3compress.validate.setup.students.TeacherSource`.

        Raises:
            M3CompressError: If it cannot be opened or believed.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        return open_teacher(
            self.source,
            structures,
            self.work,
            convention=self.convention,
            labels=self.labels,
            report=partial(print_row, to=stderr()),
        )

    def identity(self) -> str:
        """Hash of its file, or its name.

        Raises:
            M3CompressError: If its file cannot be read.
        """
        path = expanded(resolve_source(self.source))
        return content_sha256(path) if path.exists() else self.source


def with_given_teacher(settings: Settings, teacher: str | None, folder: Path) -> Settings:
    """The settings with a teacher, if one is given.

    A student's file says its own convention: one that was given, or that labels decide, is the
    teacher's.

    Args:
        settings: Of the gate.
        teacher: What the user calls the teacher.
        folder: Of the reports.
    """
    if teacher is None:
        return settings
    given = GivenTeacher(teacher, folder / "teacher", settings.convention, settings.labels)
    return replace(settings, teacher=given, convention=None)
