"""Telling when atoms come closer than any in the training domain, where that is known.

There a potential has no data, whatever it says: energies may fall where they should rise, and a
simulation that gets there is about to break. The manifest's ``shortest_distances`` are the domain;
pairs of elements that it does not name are never complained of.
"""

from __future__ import annotations

import warnings
from typing import Final, Literal, get_args

import numpy as np

from m3compress.contract.arrays import FloatArray, IntArray
from m3compress.contract.distances import as_matrix, pair_name
from m3compress.contract.manifest import Manifest
from m3compress.contract.tables import TableInputs
from m3compress.engines.base import ClosePair
from m3compress.errors import OverlapError, OverlapWarning, UnknownNameError

OnOverlap = Literal["raise", "warn", "ignore"]

_HINT: Final = (
    "forces are extrapolated there: relax the start, use a shorter time step, or train on such "
    "distances; Calculator(..., on_overlap='ignore') turns this off"
)


class OverlapGuard:
    """Compares the distances of structures with those of the training domain.

    Args:
        manifest: What the file knows of that.
        action: ``warn`` tells once, ``raise`` always, ``ignore`` never.

    Raises:
        UnknownNameError: If there is no such action.
    """

    def __init__(self, manifest: Manifest, action: OnOverlap) -> None:
        if action not in get_args(OnOverlap):
            raise UnknownNameError("action on_overlap", action, get_args(OnOverlap))
        known = manifest.shortest_distances or {}
        self._elements = manifest.elements
        self._squared = as_matrix(known, manifest.elements) ** 2
        self._largest = float(self._squared.max(initial=0.0))
        self._action: OnOverlap = action if known else "ignore"

    def check(self, inputs: TableInputs) -> None:
        """Complain of the closest pair of atoms, relative to the domain.

        Args:
            inputs: Tables of a structure.

        Raises:
            OverlapError: If a pair is too close, and that is to be an error.
        """
        if self._action == "ignore":
            return
        squared = np.einsum("nkx,nkx->nk", inputs.edge_vectors, inputs.edge_vectors)
        near = np.nonzero((squared < self._largest) & (inputs.mask > 0))
        if not len(near[0]):
            return
        others = inputs.neighbors[near]
        limits = self._squared[inputs.species[near[0]], inputs.species[others]]
        with np.errstate(divide="ignore"):
            ratios = squared[near] / limits  # infinite for pairs of which nothing is known
        worst = int(ratios.argmin())
        distance = float(squared[near][worst] ** 0.5)
        pair = ClosePair(int(near[0][worst]), int(others[worst]), distance, float(ratios[worst]))
        self.judge(inputs.species, pair)

    @property
    def limits(self) -> FloatArray | None:
        """Shortest distances by elements in Å, 0 where nothing is known; None if nobody asks."""
        return None if self._action == "ignore" else np.sqrt(self._squared)

    def judge(self, species: IntArray, pair: ClosePair) -> None:
        """Complain of a pair of atoms that is closer than any in the domain.

        Args:
            species: Of all atoms, shape (n_atoms,).
            pair: The closest of them.

        Raises:
            OverlapError: If that is to be an error.
        """
        if not pair.ratio < 1 or self._action == "ignore":
            return
        message = self._tell(species, pair)
        if self._action == "raise":
            raise OverlapError(message, hint=_HINT)
        self._action = "ignore"
        warnings.warn(f"{message} ({_HINT})", OverlapWarning, stacklevel=2)

    def _tell(self, species: IntArray, pair: ClosePair) -> str:
        i, j = species[pair.first], species[pair.second]
        return (
            f"atoms {pair.first} and {pair.second} (counting from 0) are {pair.distance:.3f} Å "
            f"apart; in the training domain of the model "
            f"{pair_name(self._elements[i], self._elements[j])} is never closer than "
            f"{self._squared[i, j] ** 0.5:.3f} Å"
        )
