"""Labelled frames in a folder, one file for each group of a plan."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ase import Atoms
from ase.io import read, write

from m3compress.contract.files import write_atomically
from m3compress.distill.data.plan import Group, require_unique
from m3compress.errors import StructureError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameStore:
    """Frames as extended XYZ, with energy, forces and stress as ASE reads them.

    Attributes:
        folder: Where they are; made with the first frame.
        contents: What decides the frames of each group, hashed, by its name. It is a part of the
            name of the file, so that those of another teacher are never taken for them.
    """

    folder: Path
    contents: Mapping[str, str] = field(default_factory=dict)

    def path(self, group: Group) -> Path:
        """The file of a group."""
        content = self.contents.get(group.name)
        return self.folder / f"{group.name}{f'-{content[:12]}' if content else ''}.extxyz"

    def has(self, group: Group) -> bool:
        """Whether a group is there; if so, as a whole."""
        return self.path(group).exists()

    def save(self, group: Group, frames: Sequence[Atoms]) -> None:
        """Write the frames of a group, all or none; an empty file says that there are none.

        Raises:
            M3CompressError: If it cannot be written.
        """
        text = io.StringIO()
        if frames:
            write(text, frames, format="extxyz")
        write_atomically(self.path(group), text.getvalue().encode())

    def fill(self, groups: Sequence[Group], make: Callable[[Group], list[Atoms]]) -> None:
        """Make all groups that are not there yet; each is there as a whole or not at all.

        Args:
            groups: The plan.
            make: Labelled frames of a group.

        Raises:
            M3CompressError: If a file cannot be written, or two groups have one name.
        """
        require_unique(groups)
        for index, group in enumerate(groups):
            if self.has(group):
                continue
            self.save(group, make(group))
            logger.info("frames %d/%d: %s", index + 1, len(groups), group.name)

    def read(self, groups: Sequence[Group]) -> list[Atoms]:
        """The frames of groups, in their order.

        Raises:
            StructureError: If the file of a group is missing or cannot be read.
        """
        frames: list[Atoms] = []
        for group in groups:
            path = self.path(group)
            try:
                if path.stat().st_size:
                    frames += read(path, index=":", format="extxyz")
            except Exception as error:  # ASE's parsers fail in their own ways
                raise StructureError(
                    f"{path} cannot be read as frames: {error}",
                    hint="remove it if it is there, and make the frames again",
                ) from error
        return frames
