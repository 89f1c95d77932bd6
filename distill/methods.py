"""What can be done to the three-body block of a trained potential without training anything.

Weights never change: a method only chooses in which form the block is evaluated and exported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from m3compress.distill.share import ThreeBodyShare, three_body_share
from m3compress.errors import M3CompressError, UnsupportedModelError
from m3compress.models.potential import Potential, native_form
from m3compress.models.three_body import FACTORIZED, REMOVED, ThreeBodyForm

MethodName = Literal["auto", "factorize", "remove", "prune", "keep"]

_CHOICES = "auto, factorize, remove, prune=P with 0 <= P <= 1, or keep"


class MethodError(M3CompressError):
    """A three-body method was asked for that does not exist."""


@dataclass(frozen=True, slots=True)
class Method:
    """A parsed ``--three-body``.

    Attributes:
        name: Which method.
        fraction: Fraction of the triplets to drop; only for ``prune``.
    """

    name: MethodName
    fraction: float | None = None


def parse_method(text: str) -> Method:
    """Read ``auto``, ``factorize``, ``remove``, ``prune=P`` or ``keep``.

    Raises:
        MethodError: If it is none of these, or P is not a number from 0 to 1.
    """
    name, separator, value = text.strip().partition("=")
    if name == "prune":
        return Method("prune", _parse_fraction(text, value))
    if separator or name not in ("auto", "factorize", "remove", "keep"):
        raise MethodError(f"unknown three-body method {text!r}", hint=f"choose {_CHOICES}")
    return Method(name)  # type: ignore[arg-type]


def _parse_fraction(text: str, value: str) -> float:
    try:
        fraction = float(value)
    except ValueError as error:
        raise MethodError(
            f"{text!r} does not say which fraction of the triplets to drop",
            hint="for example prune=0.5",
        ) from error
    return _checked_fraction(fraction)


def _checked_fraction(fraction: float) -> float:
    if not (math.isfinite(fraction) and 0 <= fraction <= 1):
        raise MethodError(
            f"the fraction of triplets to drop is {fraction:g}, expected a number from 0 to 1",
            hint="for example prune=0.5",
        )
    return fraction


def apply(potential: Potential, method: Method, share: ThreeBodyShare | None = None) -> Potential:
    """The potential after a method.

    Args:
        potential: In the convention it was trained with.
        method: What to do.
        share: Measured share of the block, for ``auto``; measured here if it is not given.

    Raises:
        UnsupportedModelError: If the method does not exist for the dialect, or ``auto`` finds none.
    """
    if method.name == "auto":
        return choose(potential, three_body_share(potential) if share is None else share)
    if method.name == "prune":
        return prune(potential, method.fraction if method.fraction is not None else 0.0)
    return {"factorize": factorize, "remove": remove, "keep": keep}[method.name](potential)


def factorize(potential: Potential) -> Potential:
    """Evaluate the block by the addition theorem: the same energies, and no triplets.

    Raises:
        UnsupportedModelError: If the model was trained with misrouted triplets.
    """
    _refuse_misrouted(potential, "factorised")
    return potential.with_form(FACTORIZED)


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
        MethodError: If ``fraction`` is out of range or ``seed`` negative.
        UnsupportedModelError: If the model was trained with misrouted triplets.
    """
    _checked_fraction(fraction)
    if seed < 0:
        raise MethodError(f"the seed of the pruning is {seed}, expected 0 or more")
    _refuse_misrouted(potential, "pruned")
    return potential.with_form(ThreeBodyForm(name="pruned", fraction=fraction, seed=seed))


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


def _refuse_misrouted(potential: Potential, verb: str) -> None:
    dialect = potential.config.convention
    if dialect.triplet_index == "pruned":
        raise UnsupportedModelError(
            f"the three-body block of convention {dialect.name!r} cannot be {verb}: its triplets "
            "were routed to the wrong bonds in training; right ones would make another model",
            hint="--three-body remove; the training has switched such a block off",
        )
