"""How much a potential owes to its three-body block, measured by taking the block out.

The zoo's small crystals, at rest and rattled, are evaluated with and without the block. Where the
block does nothing (every matgl checkpoint before 4.1, whose misrouted triplets taught the training
to switch it off) it can go; where it matters it must be factorised, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from m3compress.contract.forms import FACTORIZED, MISROUTED, REMOVED
from m3compress.models.potential import Potential, evaluate
from m3compress.models.structures.frames import Named
from m3compress.models.structures.zoo import equilibrium_and_rattled

Advice = Literal["remove", "factorize", "distill"]

#: Removal is harmless up to this change of the forces (root mean square, eV/Å): the noise of the
#: DFT labels themselves is larger.
HARMLESS_FORCE = 1e-3
#: ... or up to this part of the root mean square force, since structures with large forces move
#: more: the errors of any M3GNet against DFT are at least ten times as large.
HARMLESS_RELATIVE = 5e-3
#: ... and, in both cases, up to this change of the energy (root mean square, eV/atom).
HARMLESS_ENERGY = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeBodyShare:
    """What changes when the three-body block is removed.

    Attributes:
        force_rms: Root mean square change of a force component in eV/Å.
        force_mae: Mean absolute change of a force component in eV/Å.
        force_relative: ``force_rms`` over the root mean square force component, a fraction; 0 if
            there are no forces at all.
        energy_rms: Root mean square change of the energy in eV/atom.
        n_structures: How many structures were evaluated.
        exact: Whether the block has an exact form without triplets (not if it is misrouted).
    """

    force_rms: float
    force_mae: float
    force_relative: float
    energy_rms: float
    n_structures: int
    exact: bool

    @property
    def harmless(self) -> bool:
        """Whether the block can be removed without anyone noticing."""
        small = self.force_rms <= HARMLESS_FORCE or self.force_relative <= HARMLESS_RELATIVE
        return small and self.energy_rms <= HARMLESS_ENERGY

    @property
    def advice(self) -> Advice:
        """What to do with the block."""
        if self.harmless:
            return "remove"
        return "factorize" if self.exact else "distill"

    @property
    def text(self) -> str:
        """The advice with its reason, one sentence."""
        measured = (
            f"removing the three-body block moves forces by {self.force_rms * 1e3:.3g} meV/Å "
            f"({self.force_relative:.2%}) and energies by {self.energy_rms * 1e3:.3g} meV/atom"
        )
        actions = {
            "remove": "it does nothing here and can be removed",
            "factorize": "it matters, so factorise it, which is exact",
            "distill": "it matters, but its triplets are misrouted: factorising would make another "
            "model and removal would lose accuracy, so distil a student without it",
        }
        return f"{measured}: {actions[self.advice]}"

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON document."""
        return {**asdict(self), "advice": self.advice, "text": self.text}


def three_body_share(
    potential: Potential, entries: Sequence[Named] | None = None
) -> ThreeBodyShare:
    """Measure the share, in the precision of the potential.

    Args:
        potential: In the convention it was trained with; its present form does not matter.
        entries: Structures to use in place of the zoo's small crystals.

    Raises:
        StructureError: If an entry cannot be evaluated.
    """
    config = potential.config
    if entries is None:
        entries = equilibrium_and_rattled(config.elements, cutoff=config.cutoff)
    exact = config.convention.triplet_index == "parent"
    # The factorised form equals the triplets to rounding and needs no list of them.
    trained = FACTORIZED if exact else MISROUTED
    with_block, without = potential.with_form(trained), potential.with_form(REMOVED)
    changes, forces, energies = [], [], []
    for entry in entries:
        full, bare = evaluate(with_block, entry.atoms), evaluate(without, entry.atoms)
        changes.append((bare.forces - full.forces).ravel())
        forces.append(full.forces.ravel())
        energies.append((bare.energy - full.energy) / len(entry.atoms))
    change, size = np.concatenate(changes), _rms(np.concatenate(forces))
    return ThreeBodyShare(
        force_rms=_rms(change),
        force_mae=float(np.abs(change).mean()),
        force_relative=_rms(change) / size if size > 0 else 0.0,
        energy_rms=_rms(np.array(energies)),
        n_structures=len(entries),
        exact=exact,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
