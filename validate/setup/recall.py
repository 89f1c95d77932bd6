"""What several checks of one gate need is computed once, failures included."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from m3compress.contract.evaluation import Evaluator
from m3compress.validate.setup.context import Context
from m3compress.validate.setup.subject import Subject

T = TypeVar("T")


def recall(
    context: Context, subject: Evaluator | None, what: tuple[Hashable, ...], make: Callable[[], T]
) -> T:
    """The result of ``make``, computed when first asked for; an exception is raised every time.

    Args:
        context: It keeps the results as long as it lives.
        subject: Whose result it is; None if it belongs to the gate.
        what: Name of the result.
        make: Computes it.

    Raises:
        Exception: Whatever ``make`` raised, now or at the first call.
    """
    key = (id(subject), *what)
    if key not in context.cached:
        outcome: Any
        failed = False
        try:
            outcome = make()
        except Exception as error:  # raised below, and again at every later call
            outcome, failed = error, True
        # The subject is kept too, so that no other can get its id.
        context.cached[key] = (outcome, failed, subject)
    outcome, failed, _ = context.cached[key]
    if failed:
        raise outcome
    found: T = outcome
    return found


def twin_of(context: Context) -> Subject | None:
    """The twin, which is the reference itself where both are the same model in the same form."""
    if context.twin is None:
        return None
    same = replace(context.twin, name=context.reference.name) == context.reference
    return context.reference_subject if same else context.twin_subject
