"""How much each profile does: the one table that the command line and every check read.

A profile is added by a row here; limits that do not name it are those for all profiles. Imports
nothing that is slow to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from m3compress.errors import M3CompressError

#: ps, five frames: of fewer, a spectrum of the velocities has no number.
LEAST_DURATION: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How much to do.

    Attributes:
        name: Its name.
        max_zoo_atoms: Largest structure of the static checks.
        n_samples: Structures for molecular dynamics.
        r_max: Largest distance of radial distribution functions in Å; supercells are at least
            twice as wide.
        temperature: Of NVT, NPT and of the start of NVE, in K.
        pressure: Of NPT, in GPa.
        timestep: Of NVT and NPT in fs; NVE takes half of it. None for 2 fs, or 0.5 fs with
            hydrogen (MLIP Arena).
        friction: Of Langevin dynamics in 1/fs: the stronger, the sooner frames are independent.
        n_replicas: Independent runs of candidate and of reference.
        equilibration: Thermostatted time before each run in ps.
        duration: Sampled time of each NVT replica in ps.
        nve_duration: Time of the run for energy conservation in ps.
        npt_duration: Time of each NPT run in ps; 0 for none.
        properties: Names of the static properties to compare: ``relax``, ``eos``, ``elastic``,
            ``phonons``.
        performance: Whether to time.
        n_crystals: Crystals whose properties are compared, at most; None for all.
        n_labels: Labelled frames that are compared, evenly spread over the file; None for all.
        law_factors: Time steps of the dt² law, as multiples of that of NVT.
    """

    name: str
    max_zoo_atoms: int
    n_samples: int
    r_max: float
    temperature: float
    pressure: float
    timestep: float | None
    friction: float
    n_replicas: int
    equilibration: float
    duration: float
    nve_duration: float
    npt_duration: float
    properties: tuple[str, ...]
    performance: bool
    # With defaults: reports that were written before these fields are still read.
    n_crystals: int | None = None
    n_labels: int | None = None
    law_factors: tuple[float, ...] = (1.0, 0.5, 0.25)


#: What all profiles share. No defaults of the class: a report without them is not one at 300 K.
_at_ambient: Final = partial(Profile, temperature=300.0, pressure=0.0, timestep=None)

SMOKE: Final = _at_ambient(
    name="smoke",
    max_zoo_atoms=40,
    n_samples=1,
    r_max=4.2,
    friction=0.05,
    n_replicas=3,
    equilibration=0.05,
    duration=0.1,
    nve_duration=0.3,
    npt_duration=0.0,
    properties=("relax",),
    performance=False,
    n_crystals=1,
    n_labels=20,
    law_factors=(1.0, 0.5),
)
CI: Final = _at_ambient(
    name="ci",
    max_zoo_atoms=200,
    n_samples=1,
    r_max=4.2,
    friction=0.02,
    n_replicas=4,
    equilibration=0.5,
    duration=4.0,
    nve_duration=3.0,
    npt_duration=3.0,
    properties=("relax", "eos", "elastic", "phonons"),
    performance=True,
    n_crystals=2,
    n_labels=200,
)
RELEASE: Final = _at_ambient(
    name="release",
    max_zoo_atoms=2_000,
    n_samples=3,
    r_max=5.2,
    friction=0.01,
    n_replicas=5,
    equilibration=0.5,
    duration=4.0,
    nve_duration=20.0,
    npt_duration=2.0,
    properties=("relax", "eos", "elastic", "phonons"),
    performance=True,
)

#: By name, the shortest first.
PROFILES: Final = {profile.name: profile for profile in (SMOKE, CI, RELEASE)}


def profile_named(name: str) -> Profile:
    """The profile of a name.

    Raises:
        M3CompressError: If there is none.
    """
    if name not in PROFILES:
        raise M3CompressError(
            f"there is no profile {name!r}", hint=f"choose from {', '.join(PROFILES)}"
        )
    return PROFILES[name]
