"""What can be done to the three-body block of a trained potential without training anything.

Weights never change: a method only chooses in which form the block is evaluated and exported.
"""

from __future__ import annotations

from m3compress.contract.forms import FACTORIZED, REMOVED, TRIPLETS, Choice, ThreeBodyForm
from m3compress.distill.share import ThreeBodyShare, three_body_share
from m3compress.errors import UnsupportedModelError
from m3compress.models.potential import Potential, native_form


def apply(
    potential: Potential, method: ThreeBodyForm | Choice, share: ThreeBodyShare | None = None
) -> Potential:
    """The potential after a method.

    Args:
        potential: In the convention it was trained with.
        method: What to do (:func:`m3compress.contract.forms.parse_method`).
        share: Measured share of the block, for ``auto``; measured here if it is not given.

    Raises:
        UnsupportedModelError: If the convention has no such method, or ``auto`` finds none.
    """
    if isinstance(method, ThreeBodyForm):
        return in_form(potential, method)
    if method is Choice.KEEP:
        return keep(potential)
    return choose(potential, three_body_share(potential) if share is None else share)


def in_form(potential: Potential, form: ThreeBodyForm) -> Potential:
    """The potential in a form, if that leaves it the model that was trained.

    Raises:
        UnsupportedModelError: If the form takes right triplets and the training had misrouted ones.
    """
    convention = potential.config.convention
    if form.row.needs_routed and native_form(convention) != TRIPLETS:
        raise UnsupportedModelError(
            f"the three-body block of convention {convention.name!r} cannot be {form.name}: its "
            "triplets were routed to the wrong bonds in training; right ones would make another "
            "model",
            hint="--three-body remove; the training has switched such a block off",
        )
    return potential.with_form(form)


def factorize(potential: Potential) -> Potential:
    """Evaluate the block by the addition theorem: the same energies, and no triplets.

    Raises:
        UnsupportedModelError: If the model was trained with misrouted triplets.
    """
    return in_form(potential, FACTORIZED)


def remove(potential: Potential) -> Potential:
    """Leave the block out."""
    return potential.with_form(REMOVED)


def prune(potential: Potential, fraction: float, seed: int = 0) -> Potential:
    """Drop a random fraction of the triplets; for studies only, since it breaks smoothness.

    Args:
        potential: In the convention it was trained with.
        fraction: Fraction to drop, from 0 to 1.
        seed: Which triplets.

    Raises:
        FormError: If ``fraction`` is out of range or ``seed`` negative.
        UnsupportedModelError: If the model was trained with misrouted triplets.
    """
    return in_form(potential, ThreeBodyForm(name="pruned", fraction=fraction, seed=seed))


def keep(potential: Potential) -> Potential:
    """The form that the convention was trained with."""
    return potential.with_form(native_form(potential.config.convention))


def choose(potential: Potential, share: ThreeBodyShare) -> Potential:
    """``auto``: remove the block where that is harmless, else factorise it.

    Raises:
        UnsupportedModelError: If the block matters and cannot be factorised.
    """
    if share.advice == "remove":
        return remove(potential)
    if share.advice == "factorize":
        return factorize(potential)
    raise UnsupportedModelError(
        share.text, hint="--three-body remove drops the block all the same; check with validate"
    )
