"""Curves of the report, made from arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from m3compress.contract.neighbors import FloatArray
from m3compress.validate.result import Curve


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
