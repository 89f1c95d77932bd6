"""What float32 costs a model: not on one structure, where it may be little by luck, but on some.

A rounding error is a draw. A stress is six numbers, of a cell with symmetry fewer, and PyTorch may
round all of them well by chance; the same structure, its atoms moved by next to nothing, is another
draw of the same distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation

#: So many structures like one are asked beside it, atoms moved by about so many Å.
_MORE: Final = 4
_MOVED: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Draw:
    """What a model says of a structure, rounded and not.

    Attributes:
        rounded: In float32.
        exact: In float64.
    """

    rounded: Evaluation
    exact: Evaluation


class Draws:
    """Draws of a rounding error: of the structure itself, then of some like it.

    Each is made when first asked for, and known from then on: whoever goes through them again pays
    nothing.

    Args:
        atoms: The structure.
        rounded: Evaluates the model in float32.
        exact: Evaluates it in float64.
    """

    def __init__(
        self,
        atoms: Atoms,
        rounded: Callable[[Atoms], Evaluation],
        exact: Callable[[Atoms], Evaluation],
    ) -> None:
        self._atoms = atoms
        self._rounded = rounded
        self._exact = exact
        self._known: list[Draw] = []

    def __iter__(self) -> Iterator[Draw]:
        for number in range(1 + _MORE):
            if number == len(self._known):
                like = self._like(number)
                self._known.append(Draw(self._rounded(like), self._exact(like)))
            yield self._known[number]

    def _like(self, number: int) -> Atoms:
        if number == 0:
            return self._atoms
        rng = np.random.default_rng([len(self._atoms), number])
        moved = self._atoms.copy()
        moved.positions += rng.normal(0.0, _MOVED, moved.positions.shape)
        return moved
