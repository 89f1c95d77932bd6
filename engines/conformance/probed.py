"""What is measured: an evaluator whose lengths are known and whose neighbours can be shuffled."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from ase import Atoms

from m3compress.contract.evaluation import Evaluation, Evaluator
from m3compress.contract.tables import TableInputs
from m3compress.engines.evaluator import ArtefactEvaluator


class Probed(Evaluator, Protocol):
    """An evaluator, and what the contract must know of it."""

    @property
    def three_body_cutoff(self) -> float:
        """Cutoff of the three-body block in Å."""

    @property
    def receptive_field(self) -> float:
        """An atom further away (Å) does not change an atom's energy."""

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        """The same as ``evaluate`` with the neighbours of every atom in a random order.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """


class ProbedArtefact(ArtefactEvaluator):
    """An exported file in its engine; see :class:`Probed`.

    Structures that are measured one after the other differ in atoms, cells and species. The skin of
    the neighbour search is harmless then: a table that no longer fits is searched anew, and one
    that fits gives the bits that a new one would give.
    """

    @property
    def three_body_cutoff(self) -> float:
        """Cutoff of the three-body block in Å."""
        return self.manifest.three_body_cutoff

    @property
    def receptive_field(self) -> float:
        """An atom further away (Å) does not change an atom's energy."""
        return self.manifest.receptive_field

    def evaluate_shuffled(self, atoms: Atoms, rng: np.random.Generator) -> Evaluation:
        """The same as ``evaluate`` with the slots of every atom in a random order.

        Raises:
            StructureError: If the structure has no meaningful energy.
        """
        return self.run(shuffle_slots(self.inputs(atoms), rng))


def shuffle_slots(inputs: TableInputs, rng: np.random.Generator) -> TableInputs:
    """The same edges, with the slots of every row in another order, empty ones among them."""
    n_atoms, width = inputs.mask.shape
    order = rng.permuted(np.tile(np.arange(width), (n_atoms, 1)), axis=1)
    new_slot = np.argsort(order, axis=1)
    center, slot = np.divmod(inputs.incoming, width)
    incoming = center * width + new_slot[center, slot]
    order_in = rng.permuted(np.tile(np.arange(incoming.shape[1]), (n_atoms, 1)), axis=1)
    return replace(
        inputs,
        neighbors=np.take_along_axis(inputs.neighbors, order, axis=1),
        mask=np.take_along_axis(inputs.mask, order, axis=1),
        edge_vectors=np.take_along_axis(inputs.edge_vectors, order[:, :, None], axis=1),
        incoming=np.take_along_axis(incoming, order_in, axis=1),
        incoming_mask=np.take_along_axis(inputs.incoming_mask, order_in, axis=1),
    )
