"""What holds and what does not: one clause per promise, with what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One promise of the contract.

    Attributes:
        name: What is promised: "forces".
        holds: Whether it does; None where a code says that it doesn't have this.
        value: What was measured; None if nothing could be.
        limit: What it may be at most.
        unit: Of both.
        note: Where the largest value was found, what was raised, or why it was not judged.
    """

    name: str
    holds: bool | None
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What a code keeps of the contract.

    Attributes:
        code: Which was judged.
        reference: What it was compared with.
        clauses: In the order in which they were judged.
    """

    code: str
    reference: str
    clauses: tuple[Clause, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the clauses that do not hold."""
        return tuple(clause.name for clause in self.clauses if clause.holds is False)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "holds": self.holds}


def measured(name: str, value: float, limit: float, unit: str, note: str = "") -> Clause:
    """A clause that holds if a value is finite and within its limit."""
    known = value if value == value and abs(value) != float("inf") else None
    holds = known is not None and known <= limit
    return Clause(name=name, holds=holds, value=known, limit=limit, unit=unit, note=note)


def not_given(name: str, note: str) -> Clause:
    """A clause about something that the code does not have."""
    return Clause(name=name, holds=None, note=note)
