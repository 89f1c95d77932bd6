"""A gate of the built-in model whose runs a benchmark takes, without its static checks."""

from __future__ import annotations

import os
from pathlib import Path

from m3compress.api import resolve_source
from m3compress.models.structures.samples import samples_for
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.profiles import Profile
from m3compress.validate.setup.subject import exported, trained

_R_MAX = 4.2  # Å: alpha-quartz of 72 atoms


def gate_of(profile: Profile, artefact: Path, work: Path) -> Context:
    """The gate of an exported file of the built-in model, on alpha-quartz."""
    return Context(
        candidate=exported(artefact),
        reference=trained(str(resolve_source("builtin"))),
        twin=None,
        profile=profile,
        zoo=(),
        crystals=(),
        samples=samples_for(("O", "Si"), _R_MAX, 1),
        workplace=work,
        trajectories=work / "trajectories",
        n_workers=os.cpu_count() or 1,
    )
