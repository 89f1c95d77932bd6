"""Results of a benchmark by what it ran on, in one file that several runs may fill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock
from machine import machine


def keep(path: Path, key: str, result: dict[str, Any]) -> None:
    """Write the result of a run beside those of others, some of which may end at the same time."""
    lock = path.with_suffix(".lock")
    with FileLock(lock):
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        document[key] = {"machine": machine(), **result}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
    lock.unlink(missing_ok=True)
