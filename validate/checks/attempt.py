"""A broken model may fail in any way: that is a finding, and everything else still counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from m3compress.errors import M3CompressError

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """What came instead of a result.

    Attributes:
        reason: What went wrong, for a report.
    """

    reason: str


def attempt(make: Callable[..., T], *arguments: object) -> T | Failure:
    """The result of ``make(*arguments)``, or why there is none; an interrupt passes through."""
    try:
        return make(*arguments)
    except M3CompressError as error:
        return Failure(str(error))
    except Exception as error:  # whatever a model raises, the others must still be measured
        logger.debug("a measurement failed", exc_info=True)
        return Failure(f"{type(error).__name__}: {error}")


def gather(make: Callable[..., Iterable[T]], *arguments: object) -> tuple[list[T], Failure | None]:
    """Everything that ``make(*arguments)`` yields, or what came before it failed and why it did."""
    found: list[T] = []
    return found, attempt(lambda: found.extend(make(*arguments)))
