"""Shared fixtures: where the real checkpoints and data are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real checkpoints, reference numbers and data; skips where there is none."""
    folder = Path(os.environ.get("M3COMPRESS_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} does not exist, and CI must not skip (set M3COMPRESS_SHARED)")
        pytest.skip(f"{folder} does not exist (set M3COMPRESS_SHARED)")
    return folder.resolve()
