"""What a row of the table of wrong files is, and the names of the checks that are to see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from attacks.edits import Edit

Model = Literal["builtin", "universal"]

FORCE: Final = "parity.export-force"
ENERGY: Final = "parity.export-energy"
STRESS: Final = "parity.export-stress"
ATOMIC: Final = "parity.export-atom-energy"
ATOM_VIRIAL: Final = "parity.export-atom-virial"
SIZE: Final = "parity.large-cells"
CROWDED: Final = "parity.crowded-cells"
ELEMENTS: Final = "parity.elements"
MOLECULES: Final = "parity.molecules"
FACTS: Final = "artefact.facts"
FLOW: Final = "artefact.sizes"
SUMS: Final = "artefact.sums"
INDICES: Final = "artefact.indices"
COUNTS: Final = "artefact.counts"


@dataclass(frozen=True, slots=True)
class Attack:
    """A way to be wrong.

    Attributes:
        name: Its name.
        what: What is wrong.
        seen_by: Checks of which one must refuse it; ``error`` if no check is to begin.
        edit: Does it.
        model: What is edited: the built-in model, or a universal one.
    """

    name: str
    what: str
    seen_by: tuple[str, ...]
    edit: Edit
    model: Model = "builtin"


def row(name: str, what: str, seen_by: str, edit: Edit, model: Model = "builtin") -> Attack:
    """A row, the checks that are to see it separated by blanks."""
    return Attack(name, what, tuple(seen_by.split()), edit, model)
