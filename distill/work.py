"""The folder in which a distillation works: whose it is, and that nobody else works in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from m3compress.contract.files import write_atomically
from m3compress.contract.locks import LOCK, alone_in
from m3compress.contract.teacher import Teacher
from m3compress.errors import M3CompressError

SETTINGS: Final = "distillation.json"
#: Written once everything is decided: what is computed comes after it.
BUDGET: Final = "budget.json"


@contextmanager
def working_in(folder: Path, document: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Claim a folder for a distillation while the block runs.

    Args:
        folder: Made if it is not there.
        document: What decides the distillation, plain values.
        resume: Go on with what is in the folder, where that is the same.

    Raises:
        M3CompressError: If it holds another distillation, the same one and ``resume`` is not given,
            or something else; if it is in use, or cannot be written.
    """
    busy = f"another distillation is working in {folder}"
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone_in(folder, busy, "wait for it, or use another --work"))
        except OSError as error:
            raise M3CompressError(f"cannot work in {folder}: {error.strerror}") from error
        _claim(folder, json.loads(json.dumps(document)), resume=resume)
        yield


def _claim(folder: Path, document: dict[str, Any], *, resume: bool) -> None:
    note = folder / SETTINGS
    if not note.exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise M3CompressError(
            f"{folder} holds something else than a distillation",
            hint="give an empty folder, or one that does not exist, to --work",
        )
    if not (folder / BUDGET).exists():
        # One that came to nothing, such as for a teacher that does not open, is no obstacle.
        write_atomically(note, json.dumps(document, indent=1).encode())
        return
    changed = [name for name in document if _read(note).get(name) != document[name]]
    if changed:
        raise M3CompressError(
            f"{folder} holds another distillation: {', '.join(changed)} differ",
            hint="give another folder to --work, or remove this one",
        )
    if not resume:
        raise M3CompressError(
            f"{folder} holds this distillation, begun before",
            hint="`--resume` goes on with it; remove the folder to begin anew",
        )


def _read(note: Path) -> dict[str, Any]:
    try:
        document = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise M3CompressError(
            f"{note} cannot be read: {error}", hint="remove its folder, and begin anew"
        ) from error
    return document if isinstance(document, dict) else {}


def decided_once(
    folder: Path, teacher: Teacher, decide: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What was decided before anything was computed: kept, and never decided again.

    Args:
        folder: Of the work.
        teacher: Whose labels it gets.
        decide: Gives plain values.

    Raises:
        M3CompressError: If it was decided for another teacher, or a file cannot be read or written.
    """
    path = folder / BUDGET
    if not path.exists():
        document = {"teacher": teacher.sha256, **decide()}
        write_atomically(path, json.dumps(document, indent=1).encode())
    document = _read(path)
    if document.pop("teacher", None) != teacher.sha256:
        raise M3CompressError(
            f"{folder} holds labels of another teacher than {teacher.name} is now",
            hint="give another folder to --work",
        )
    return document
