"""Curves of reports: numbers to be plotted, made from arrays."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from m3compress.contract.arrays import FloatArray

#: JSON knows no NaN and no infinity: they are written as null, and read as NaN.
Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class Curve(BaseModel):
    """Numbers to be plotted: one line of a figure, on one structure.

    Attributes:
        figure: Which figure it belongs to, for instance ``rdf:Si-O``.
        label: Name of the line: ``artefact``, ``reference``, ``difference`` …
        structure: The structure.
        x_label: Quantity and unit of ``x``.
        y_label: Quantity and unit of ``y``.
        x: Abscissae.
        y: Ordinates, as many.
        low: Lower edge of a 95 % band, as many, or empty.
        high: Upper edge of it, or empty.
        style: ``line`` or ``scatter``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    figure: str
    label: str
    structure: str
    x_label: str
    y_label: str
    x: tuple[Number, ...]
    y: tuple[Number, ...]
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()
    style: str = "line"


@dataclass(frozen=True, slots=True)
class Plot:
    """What all lines of one figure have in common.

    Attributes:
        figure: Which figure, for instance ``rdf:Si-O``.
        structure: The structure; "" for all of them together.
        x_label: Quantity and unit of the abscissae.
        y_label: Quantity and unit of the ordinates.
    """

    figure: str
    structure: str
    x_label: str
    y_label: str

    def line(self, label: str, x: FloatArray, y: FloatArray) -> Curve:
        """A line through points, ``x`` and ``y`` of shape (n_points,)."""
        return Curve(**asdict(self), label=label, x=tuple(x.tolist()), y=tuple(y.tolist()))

    def scatter(self, label: str, x: FloatArray, y: FloatArray) -> Curve:
        """The points alone."""
        return self.line(label, x, y).model_copy(update={"style": "scatter"})

    def both(self, x: FloatArray, ours: FloatArray, theirs: FloatArray) -> tuple[Curve, Curve]:
        """Lines of candidate and reference over the same abscissae."""
        return self.line("artefact", x, ours), self.line("reference", x, theirs)
