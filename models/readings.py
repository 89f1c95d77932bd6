"""The same weights, read in several conventions and shown crystals that were measured.

Three label-free observations tell the readings apart:

* **Residual force.** In a measured crystal at rest, forces and stress nearly vanish. Read with the
  wrong aggregation, a potential leaves several eV/Å there.
* **Soundness.** Under ±5 % of strain the pressure must change sign, and a rattled crystal must be
  pulled back. Untrained networks fail here whatever their residual forces are.
* **Permutation.** Misrouted triplets make forces depend on the order of the atoms. A training that
  sees this switches the three-body block off; so a misrouted reading in which the block is on is
  not the one that was trained.

Elemental crystals cannot tell the aggregations apart: v_i = v_j at rest. Compounds can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import GPa

from m3compress.contract.evaluation import Evaluation
from m3compress.models.config import CONVENTIONS
from m3compress.models.potential import Potential, evaluate
from m3compress.models.structures.crystals import known_crystals
from m3compress.models.structures.frames import Named
from m3compress.models.structures.supercell import repeated
from m3compress.models.structures.zoo import rattled

#: Strain at which the pressure must have changed its sign; density functionals misjudge lattice
#: constants by 1–2 %, so that a sound potential passes with room to spare.
STRAIN = 0.05
#: Largest residual force (eV/Å) of a sound potential, which is mostly the functional's own error
#: in the lattice constant: 0.04–0.15 for the published M3GNets, 0.5–3.5 when misread.
LARGEST_RESIDUAL = 0.6
#: The best reading must leave at least this many times less than the next one.
CLEAR_FACTOR = 3.0
#: Part of the crystals that a sound reading may fail.
TOLERATED_UNSOUND = 0.25
#: Below this (eV/Å) the three-body block is off, and how its indices are read does not matter.
BLOCK_IS_OFF = 1e-3
#: Above this (eV/Å) no training can have seen what a misrouted reading shows: published
#: checkpoints of that era, read as they were trained, have 4e-5 (universal) and 2e-3 (Na-B-H).
BLOCK_IS_ON = 1e-2

#: All of these, for the evidence.
LIMITS = {
    "largest_residual": LARGEST_RESIDUAL,
    "clear_factor": CLEAR_FACTOR,
    "tolerated_unsound": TOLERATED_UNSOUND,
    "block_is_off": BLOCK_IS_OFF,
    "block_is_on": BLOCK_IS_ON,
}

_MOST_CRYSTALS = 6
#: With a single crystal, one in twenty readings of an untrained network looks plausible.
FEWEST_CRYSTALS = 2


@dataclass(frozen=True, slots=True)
class CrystalEvidence:
    """How one crystal behaves in one reading.

    Attributes:
        pressure_gpa: Pressure at the measured lattice constant in GPa.
        pressures_strained_gpa: The same 5 % shorter and 5 % longer.
        force_at_rest: Root mean square force component at rest in eV/Å.
        residual_force: Forces at rest and stress (times the area per atom) together, in eV/Å.
        stiffness: 2 ΔE / Σ u² of the rattled crystal in eV/Å².
        restoring: −Σ F·u / Σ u² of the rattled crystal in eV/Å².
        sound: Whether the crystal has a minimum within the strain and is pulled back to it.
    """

    pressure_gpa: float
    pressures_strained_gpa: tuple[float, float]
    force_at_rest: float
    residual_force: float
    stiffness: float
    restoring: float
    sound: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One candidate convention and what it makes of the crystals.

    Attributes:
        name: The convention.
        crystals: Evidence by crystal.
        permutation_error: How far forces move when the atoms are listed in another order, root
            mean square in eV/Å; rounding unless triplets are misrouted.
    """

    name: str
    crystals: Mapping[str, CrystalEvidence]
    permutation_error: float

    @property
    def residual_force(self) -> float:
        """Root mean square residual force over the crystals in eV/Å."""
        return float(np.sqrt(np.mean([c.residual_force**2 for c in self.crystals.values()])))

    @property
    def unsound(self) -> float:
        """Part of the crystals without a minimum or without restoring forces."""
        return float(np.mean([not c.sound for c in self.crystals.values()]))

    @property
    def ruled_out(self) -> bool:
        """Whether permutation symmetry is broken by more than any training tolerates."""
        return self.permutation_error >= BLOCK_IS_ON

    @property
    def plausible(self) -> bool:
        """Whether a trained potential can look like this."""
        return self.residual_force <= LARGEST_RESIDUAL and self.unsound <= TOLERATED_UNSOUND

    def __str__(self) -> str:
        """One clause for messages."""
        n_unsound = round(self.unsound * len(self.crystals))
        return (
            f"{self.name}: residual force {self.residual_force:.3g} eV/Å, "
            f"{n_unsound} of {len(self.crystals)} crystals unsound, "
            f"permutation error {self.permutation_error:.2g} eV/Å"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the evidence."""
        return {
            "residual_force": self.residual_force,
            "unsound": self.unsound,
            "permutation_error": self.permutation_error,
            "plausible": self.plausible,
            "crystals": {name: asdict(found) for name, found in self.crystals.items()},
        }


def telling_crystals(elements: Sequence[str]) -> tuple[Named, ...]:
    """Measured compounds of the model's elements, at most six."""
    compounds = [c for c in known_crystals(elements) if len(set(c.atoms.symbols)) > 1]
    return tuple(compounds[:_MOST_CRYSTALS])


def read_as(potential: Potential, name: str, crystals: Sequence[Named]) -> Reading:
    """Evidence of all crystals with the weights read in the convention ``name``."""
    read = potential.with_convention(CONVENTIONS[name], {})
    found, squares = {}, []
    for seed, crystal in enumerate(crystals):
        moved = rattled(crystal.atoms, seed)
        displaced = evaluate(read, moved)
        found[crystal.name] = _look_at(read, crystal.atoms, moved, displaced)
        order = np.random.default_rng(seed).permutation(len(moved))
        listed = displaced.forces[order]
        squares.append(np.mean((evaluate(read, moved[order]).forces - listed) ** 2))
    return Reading(name, found, permutation_error=float(np.sqrt(np.mean(squares))))


def _look_at(
    potential: Potential, crystal: Atoms, moved: Atoms, displaced: Evaluation
) -> CrystalEvidence:
    """Evidence of one crystal at its measured lattice constant, strained and rattled.

    Args:
        potential: In the convention that is tried.
        crystal: At rest.
        moved: The same, repeated and rattled.
        displaced: What the potential says of that.
    """
    at_rest = evaluate(potential, crystal)
    pressure = _pressure(at_rest, crystal)
    strained = []
    for scale in (1 - STRAIN, 1 + STRAIN):
        copy = crystal.copy()
        copy.set_cell(copy.cell.array * scale, scale_atoms=True)
        strained.append(_pressure(evaluate(potential, copy), copy))
    ideal = repeated(crystal)
    u = moved.positions - ideal.positions
    rise = displaced.energy - at_rest.energy * len(ideal) / len(crystal)
    stiffness = 2 * rise / float((u * u).sum())
    restoring = -float((displaced.forces * u).sum() / (u * u).sum())
    force = float(np.sqrt((at_rest.forces**2).mean()))
    area = (crystal.get_volume() / len(crystal)) ** (2 / 3)
    return CrystalEvidence(
        pressure_gpa=pressure / GPa,
        pressures_strained_gpa=(strained[0] / GPa, strained[1] / GPa),
        force_at_rest=force,
        residual_force=float(np.hypot(force, pressure * area)),
        stiffness=stiffness,
        restoring=restoring,
        sound=strained[0] > 0 > strained[1] and stiffness > 0 and restoring > 0,
    )


def _pressure(found: Evaluation, atoms: Atoms) -> float:
    """In eV/Å³, positive where the crystal wants to expand."""
    return -float(np.trace(found.virial)) / (3 * float(atoms.get_volume()))


def weigh(readings: Sequence[Reading]) -> tuple[str | None, str]:
    """Decide between the candidates.

    Args:
        readings: One for each convention among which the file leaves the choice.

    Returns:
        The convention, or None if the evidence does not decide, and the reason in words.
    """
    possible = [reading for reading in readings if not reading.ruled_out]
    best = min(possible, key=lambda reading: reading.residual_force, default=None)
    if best is None or not best.plausible:
        return None, "no reading looks like a trained potential"
    target = CONVENTIONS[best.name].messages_to
    rivals = [r for r in possible if CONVENTIONS[r.name].messages_to != target]
    if any(r.residual_force < CLEAR_FACTOR * best.residual_force for r in rivals):
        return None, "no reading is clearly better than the others"
    reason = (
        f"messages summed on the {target} leave {best.residual_force:.3g} eV/Å in measured "
        "crystals at rest"
    )
    if rivals:
        ratio = min(r.residual_force for r in rivals) / best.residual_force
        reason += f", {ratio:.3g} times less than the alternative"
    if target == "neighbor":
        return best.name, reason
    misrouted = next((r for r in readings if r.name == "matgl-3"), None)
    if misrouted is None:  # a format that never had misrouted triplets
        return best.name, reason
    chosen, why = _weigh_triplets(misrouted)
    return chosen, f"{reason}; {why}"


def _weigh_triplets(misrouted: Reading) -> tuple[str | None, str]:
    error = misrouted.permutation_error
    measured = f"misrouted triplets would break permutation symmetry by {error * 1e3:.3g} meV/Å"
    if error <= BLOCK_IS_OFF:
        return "matgl-4.1", f"{measured}: the three-body block is off, and matgl-3 is the same"
    if misrouted.ruled_out:
        return "matgl-4.1", f"{measured}, so it was not trained with them"
    return None, f"{measured}, which neither rules them out nor makes them harmless"
