"""An exported file that can be probed."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3compress.engines.conformance.probed import ProbedArtefact


@pytest.fixture(scope="session")
def probed(artefact: Path) -> ProbedArtefact:
    """The factorised file on one thread."""
    return ProbedArtefact(artefact, threads=1)
