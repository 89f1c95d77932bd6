"""The export error: the file against the same three-body form in PyTorch and float64, its twin.

It is rounding, or a bug. Every output is compared (energy, energies of the atoms, forces, stress),
and the maximum over structures is judged: a mean would hide what is wrong in one of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ase import Atoms

from m3compress.contract.evaluation import Evaluation
from m3compress.errors import M3CompressError
from m3compress.export.draws import Draws
from m3compress.models.structures.frames import Named
from m3compress.validate.checks.agreement import Sides, agreement
from m3compress.validate.checks.building import Case, Check, on_structures
from m3compress.validate.checks.predictions import Structures, predictions, structures_of
from m3compress.validate.checks.rounding import rounded_subject
from m3compress.validate.checks.selection import Found
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.recall import recall, twin_of
from m3compress.validate.setup.subject import Subject

if TYPE_CHECKING:
    from m3compress.export.parity import Limits, Quantity

_NO_TWIN: Final = "the candidate is a control: it was not exported from anything"


def without_twin(context: Context, subject: Subject) -> str | None:
    """Why there is no export error, if so."""
    del subject
    return _NO_TWIN if twin_of(context) is None else None


def twin_in(context: Context) -> Subject:
    """The twin, where :func:`without_twin` has found one.

    Raises:
        M3CompressError: If there is none after all.
    """
    twin = twin_of(context)
    if twin is None:
        raise M3CompressError(_NO_TWIN)
    return twin


def limits() -> Limits:
    """What rounding may cost a file: limits of float32, whatever it says of itself."""
    from m3compress.export.parity import FLOAT32_LIMITS

    return FLOAT32_LIMITS


def sides_of(case: Case[Named], among: Structures) -> Sides:
    """What the file says of one of some structures, and what it should say.

    Raises:
        M3CompressError: Why one of the two says nothing.
    """
    context, name, atoms = case.context, case.entry.name, case.entry.atoms
    twin = twin_in(context)
    expected = predictions(context, twin, among).of(name)

    def rounded(like: Atoms) -> Evaluation:
        return rounded_subject(context).evaluate(like)

    def exact(like: Atoms) -> Evaluation:
        return expected if like is atoms else twin.evaluate(like)

    return Sides(
        atoms=atoms,
        ours=predictions(context, case.subject, among).of(name),
        expected=expected,
        draws=recall(context, twin, ("draws", among, name), lambda: Draws(atoms, rounded, exact)),
        limits=limits(),
    )


def _export_error(quantity: Quantity, case: Case[Named]) -> Found | None:
    """Largest error of a quantity on one structure, over its tolerance."""
    return agreement(sides_of(case, structures_of)).get(quantity)


def _check(
    name: str,
    what: str,
    quantity: Quantity,
    absent: str = "there is no structure to compare on",
) -> Check:
    return on_structures(
        name,
        f"{what} of the file against the same model in PyTorch, over float32 rounding",
        partial(_export_error, quantity),
        among=lambda context, _: structures_of(context),
        absent=absent,
        unless=without_twin,
    )


CHECKS: Final[tuple[Check, ...]] = (
    _check("parity.export-force", "forces", "force"),
    _check("parity.export-energy", "energies", "energy"),
    _check("parity.export-atom-energy", "energies of single atoms", "atom-energy"),
    _check("parity.export-stress", "stress", "stress"),
    _check(
        "parity.export-atom-virial",
        "virials of single atoms",
        "atom-virial",
        absent="the file gives none",
    ),
)
