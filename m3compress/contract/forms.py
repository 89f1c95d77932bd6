"""The forms of the three-body block: one table of what each promises, one parser of their names.

How a form is computed stands in :mod:`m3compress.models.three_body`; everything else that is known
of it stands in its row here, and nobody asks for a form by its name. Needs neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from m3compress.errors import M3CompressError


class FormError(M3CompressError):
    """A three-body form does not exist, or does not take the numbers that were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRow:
    """What there is to know of a form without computing it.

    Attributes:
        name: What files and reports call it.
        word: What ``--three-body`` calls it; None if a user cannot ask for it.
        fraction: Whether a text must, may or cannot say which fraction P of the triplets to drop.
        exact: Whether it equals the triplets as published, to rounding.
        study_only: Whether it is not meant for production.
        needs_routed: Whether it takes its triplets to be right, so that it would be another model
            where the weights were trained with misrouted ones.
        reference: Name of the form that an exported file is judged against; None for its own.
        refusal: Why it is never exported, one sentence; empty if it is exported.
        instead: What to do about the refusal.
    """

    name: str
    word: str | None = None
    fraction: Literal["never", "optional", "required"] = "never"
    exact: bool = False
    study_only: bool = False
    needs_routed: bool = False
    reference: str | None = None
    refusal: str = ""
    instead: str | None = None

    @property
    def exportable(self) -> bool:
        """Whether a file may hold it."""
        return not self.refusal

    def spelled(self, key: str) -> str:
        """``key``, ``key=P`` or ``key[=P]``: how a text says this form."""
        return key + {"never": "", "optional": "[=P]", "required": "=P"}[self.fraction]


_ROWS: Final = (
    # As published.
    FormRow(name="triplets", exact=True, needs_routed=True),
    # As matgl before 4.1 computes them: weights of that era mean nothing else.
    FormRow(
        name="misrouted",
        fraction="optional",
        refusal="misrouted triplets depend on the order of the edges and are never exported",
        instead="use `--three-body remove` for checkpoints of that era",
    ),
    # By the addition theorem, without triplets; judged against them, so that it is checked too.
    FormRow(
        name="factorized", word="factorize", exact=True, needs_routed=True, reference="triplets"
    ),
    FormRow(name="pruned", word="prune", fraction="required", study_only=True, needs_routed=True),
    FormRow(name="removed", word="remove"),
)
#: Every form by its name, in the order in which texts list them.
FORMS: Final[dict[str, FormRow]] = {row.name: row for row in _ROWS}


def row_of(name: str) -> FormRow:
    """What is known of a form.

    Raises:
        FormError: If there is none of this name.
    """
    if name not in FORMS:
        raise FormError(
            f"there is no three-body form {name!r}", hint=f"choose from {', '.join(FORMS)}"
        )
    return FORMS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeBodyForm:
    """Which form of the three-body block to evaluate.

    Attributes:
        name: A key of :data:`FORMS`.
        fraction: Fraction of the triplets that are dropped, in [0, 1]; 0 for forms without one.
        seed: Which triplets are dropped, 0 or more.

    Raises:
        FormError: If there is no such form, or it does not take these numbers.
    """

    name: str
    fraction: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        row = row_of(self.name)
        if not 0 <= self.fraction <= 1:
            raise FormError(
                f"the fraction of triplets to drop is {self.fraction:g}, "
                "expected a number from 0 to 1"
            )
        if row.fraction == "never" and self.fraction != 0:
            raise FormError(
                f"the form {self.name} drops a fraction of {self.fraction:g} of the triplets, "
                "expected none"
            )
        if self.seed < 0:
            raise FormError(f"the seed of the form is {self.seed}, expected 0 or more")

    def __str__(self) -> str:
        """Name, with the fraction where it matters."""
        return f"{self.name}({self.fraction:g})" if self._drops else self.name

    @property
    def row(self) -> FormRow:
        """What is known of the form."""
        return row_of(self.name)

    @property
    def text(self) -> str:
        """What :func:`parse_form` reads as this form; the seed is not in it."""
        return f"{self.name}={float(self.fraction)!r}" if self._drops else self.name

    @property
    def reference(self) -> ThreeBodyForm:
        """The form that an exported file of this one is judged against."""
        name = self.row.reference
        return self if name is None else ThreeBodyForm(name=name)

    @property
    def _drops(self) -> bool:
        return self.row.fraction == "required" or self.fraction > 0


TRIPLETS: Final = ThreeBodyForm(name="triplets")
MISROUTED: Final = ThreeBodyForm(name="misrouted")
FACTORIZED: Final = ThreeBodyForm(name="factorized")
REMOVED: Final = ThreeBodyForm(name="removed")


class Choice(StrEnum):
    """What ``--three-body`` takes besides a form: the form depends on the model."""

    AUTO = "auto"
    KEEP = "keep"


def parse_form(text: str) -> ThreeBodyForm:
    """Read a form by its name: ``triplets``, ``removed``, ``pruned=0.5``.

    Raises:
        FormError: If there is no such form, or its fraction is missing, unasked for or no number
            from 0 to 1.
    """
    return _parse(text, FORMS)


def parse_method(text: str) -> ThreeBodyForm | Choice:
    """Read a ``--three-body``: ``auto``, ``keep``, ``factorize``, ``prune=0.5``.

    Raises:
        FormError: As :func:`parse_form`.
    """
    if text.strip() in set(Choice):
        return Choice(text.strip())
    return _parse(text, _by_word(), also=tuple(Choice))


def method_help() -> str:
    """What ``--three-body`` takes, one phrase."""
    words = [
        row.spelled(word)
        + (" (exact)" if row.exact else " (for studies only)" if row.study_only else "")
        for word, row in _by_word().items()
    ]
    choices = "auto (measure, then decide), keep (as trained)"
    return f"{choices}, {', '.join(words)}; P is the fraction of triplets to drop."


def _by_word() -> dict[str, FormRow]:
    return {row.word: row for row in FORMS.values() if row.word is not None}


def _parse(text: str, rows: Mapping[str, FormRow], also: tuple[str, ...] = ()) -> ThreeBodyForm:
    """The one parser: ``KEY`` or ``KEY=P``, with the key that of a row."""
    key, separator, value = text.strip().partition("=")
    known = ", ".join([*also, *(row.spelled(name) for name, row in rows.items())])
    hint = f"choose from {known}, with P from 0 to 1"
    if key not in rows:
        raise FormError(f"there is no three-body form {text!r}", hint=hint)
    row = rows[key]
    if not separator and row.fraction != "required":
        return ThreeBodyForm(name=row.name)
    if row.fraction == "never":
        raise FormError(f"{text!r} has a fraction, and {key} takes none", hint=hint)
    try:
        return ThreeBodyForm(name=row.name, fraction=float(value))
    except ValueError as error:
        raise FormError(
            f"{text!r} does not say which fraction of the triplets to drop", hint=hint
        ) from error
    except FormError as error:
        raise FormError(f"{text!r}: {error.message}", hint=hint) from error
