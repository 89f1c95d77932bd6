"""Which convention was a matgl checkpoint trained with? Its files do not say.

Which formats leave the choice, and between what, is in the table of readers. In this order decide

1. the user, by ``--convention``;
2. labelled frames, where one reading of the weights fits them clearly better
   (:mod:`m3compress.models.labelled_fit`);
3. measured crystals, where one reading is clearly better (:mod:`m3compress.models.readings`) and
   the program that wrote the file can have trained it so
   (:mod:`m3compress.models.readers.matgl_versions`).

Weights of the DGL era that were trained on in a newer matgl look like the old ones in crystals that
the new frames do not resemble, and like files that were only loaded and saved again: then crystals
and file contradict each other, and only the user or labels can tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m3compress.contract.files import expanded
from m3compress.errors import ConventionError
from m3compress.models.config import CONVENTIONS, convention
from m3compress.models.labelled_fit import Fit, fit_labels, not_ruled_out, weigh_labels
from m3compress.models.potential import Potential, Writer
from m3compress.models.readers.table import open_conventions
from m3compress.models.readings import (
    BLOCK_IS_OFF,
    FEWEST_CRYSTALS,
    LIMITS,
    Reading,
    read_as,
    telling_crystals,
    weigh,
)
from m3compress.models.structures.frames import Named
from m3compress.models.structures.labels import read_labelled, require_units

#: What measured crystals say of weights that this process has read.
_SEEN: dict[str, tuple[Reading, ...]] = {}

_BY_NAME = (
    "give --convention matgl-dgl for a model trained with matgl 2 or older, matgl-3 for 3.0 to "
    "4.0, matgl-4.1 for newer ones; or let frames of its training decide, with energies and "
    "forces: --labels FILE"
)
_TRAINED_ON = (
    "was it trained on with that version? Then give --convention {newer}. Was it only loaded and "
    "saved again? Then --convention {older}. Or let frames of its last training decide, with "
    "energies and forces: --labels FILE"
)


def decide_convention(
    potential: Potential, requested: str | None, labels: Path | None = None
) -> Potential:
    """Read a potential in the convention it was trained with.

    Args:
        potential: As its reader returns it, in a provisional convention if the file leaves it open.
        requested: Name of the convention if the user gave one.
        labels: Frames with energies and forces in eV and eV/Å, if the user gave some.

    Returns:
        The potential in its convention; how that was decided is in ``provenance.evidence``.

    Raises:
        ConventionError: If ``requested`` is unknown or contradicts the format, or if nothing was
            requested and the evidence does not decide.
        StructureError: If the labels cannot be used.
    """
    if requested is not None:
        convention(requested)
    candidates = open_conventions(potential.provenance.format)
    if not candidates:
        return _settled(potential, requested)
    if requested is not None:
        return _as_requested(potential, requested, candidates)
    probe = potential.to(torch.float32)
    fits: tuple[Fit, ...] = ()
    if labels is not None:
        fits, chosen, reason = _fitted(probe, candidates, labels)
        if chosen is not None:
            return _decided(potential, "labels", chosen, reason, (), fits)
    return _measured(potential, probe, candidates, fits)


def _fitted(
    probe: Potential, candidates: Sequence[str], labels: Path
) -> tuple[tuple[Fit, ...], str | None, str]:
    """How each reading fits the labels, which one is meant, and why."""
    frames = read_labelled(labels, probe.elements)
    fits = fit_labels(probe, candidates, frames)
    chosen, reason = weigh_labels(fits)
    nearest = chosen or min(fits, key=lambda fit: fit.force_mae).name
    require_units(frames, probe.with_convention(CONVENTIONS[nearest], {}), expanded(labels))
    return fits, chosen, reason


def _measured(
    potential: Potential, probe: Potential, candidates: Sequence[str], fits: Sequence[Fit]
) -> Potential:
    """The potential in the convention that measured crystals and its file agree on.

    Raises:
        ConventionError: If they do not, or crystals say nothing.
    """
    crystals = telling_crystals(potential.config.elements)
    if len(crystals) < FEWEST_CRYSTALS:
        reason = f"the zoo holds {len(crystals)} measured compounds of its elements, 2 are needed"
        raise _undecided(potential, reason, (), fits)
    readings = _readings(probe, candidates, crystals)
    chosen, reason = weigh(readings)
    if chosen is None:
        raise _undecided(potential, reason, readings, fits)
    if fits and chosen not in (possible := not_ruled_out(fits)):
        reason = f"crystals say {chosen} ({reason}), but the labels rule it out"
        hint = f"the labels leave --convention {' or '.join(possible)}: give one, or more labels"
        raise _undecided(potential, reason, readings, fits, hint)
    writer = potential.provenance.writer
    if writer is not None and not _can_have_trained(writer, chosen, readings):
        says = f"crystals say {chosen} ({reason}), but it was {writer}, which computes "
        reason = says + " or ".join(writer.conventions)
        hint = _TRAINED_ON.format(newer=" or ".join(writer.conventions), older=chosen)
        raise _undecided(potential, reason, readings, fits, hint)
    return _decided(potential, "measurement", chosen, reason, readings, fits)


def _readings(
    probe: Potential, candidates: Sequence[str], crystals: Sequence[Named]
) -> tuple[Reading, ...]:
    """The weights read in every candidate; once in a process, however often a file is opened."""
    digest = hashlib.sha256(repr((probe.config, probe.form, tuple(candidates))).encode())
    for _, weights in sorted(probe.network.state_dict().items()):
        digest.update(weights.cpu().numpy().tobytes())
    key = digest.hexdigest()
    if key not in _SEEN:
        _SEEN[key] = tuple(read_as(probe, name, crystals) for name in candidates)
    return _SEEN[key]


def _can_have_trained(writer: Writer, chosen: str, readings: Sequence[Reading]) -> bool:
    """Whether a program computes with the chosen convention, or with one that is the same here."""
    if chosen in writer.conventions:
        return True
    misrouted = {r.name: r.permutation_error for r in readings if r.name in writer.conventions}
    return any(
        CONVENTIONS[name].messages_to == CONVENTIONS[chosen].messages_to and error <= BLOCK_IS_OFF
        for name, error in misrouted.items()
    )


def _settled(potential: Potential, requested: str | None) -> Potential:
    known = potential.config.convention.name
    if requested not in (None, known):
        raise ConventionError(
            f"convention {requested!r} contradicts {potential.provenance.path}, "
            f"a {potential.provenance.format} file with convention {known!r}",
            hint="leave --convention out; files of this format settle it",
        )
    return potential


def _as_requested(potential: Potential, requested: str, candidates: Sequence[str]) -> Potential:
    if requested not in candidates:
        raise ConventionError(
            f"convention {requested!r} contradicts the format: "
            f"a {potential.provenance.format} file has one of {', '.join(candidates)}",
            hint="choose one of those, or leave --convention out",
        )
    return _decided(potential, "user", requested, "given by the user", (), ())


def _undecided(
    potential: Potential,
    reason: str,
    readings: Sequence[Reading],
    fits: Sequence[Fit],
    hint: str = _BY_NAME,
) -> ConventionError:
    figures = "; ".join(map(str, (*readings, *fits)))
    return ConventionError(
        f"the convention of {potential.provenance.path} is undecided: {reason}"
        f"{f' [{figures}]' if figures else ''}",
        hint=hint,
    )


def _decided(
    potential: Potential,
    by: str,
    chosen: str,
    reason: str,
    readings: Sequence[Reading],
    fits: Sequence[Fit],
) -> Potential:
    """The potential in its convention, with everything that was weighed as plain values."""
    evidence: dict[str, Any] = {"decided_by": by, "convention": chosen, "reason": reason}
    writer = potential.provenance.writer
    if writer is not None:
        evidence["writer"] = {**asdict(writer), "conventions": list(writer.conventions)}
    if fits:
        evidence["labels"] = _rounded({fit.name: fit.to_json() for fit in fits})
    if readings:
        evidence["limits"] = dict(LIMITS)
        evidence["candidates"] = _rounded({one.name: one.to_json() for one in readings})
        evidence["units"] = {"force": "eV/Å", "pressure": "GPa", "stiffness": "eV/Å²"}
    return potential.with_convention(CONVENTIONS[chosen], evidence)


def _rounded(value: Any) -> Any:
    """Nested plain values with numbers of four digits."""
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")
