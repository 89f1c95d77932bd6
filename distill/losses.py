"""How wrong a network is on a batch: a table of Huber losses, one row for each quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from m3compress.contract.forms import ThreeBodyForm
from m3compress.distill.data.batches import Batch, NetworkFunction, Prediction
from m3compress.errors import M3CompressError

#: Predicted and labelled values of one quantity, of equal shapes, and weights of a shape like it.
Compared = Callable[[Prediction, Batch], tuple[Tensor, Tensor, Tensor]]


def _atom_energies(found: Prediction, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Where the label is unknown, both values and the weight are 0."""
    known = torch.isfinite(batch.atom_energies)
    nothing = torch.zeros_like(batch.atom_energies)
    return (
        torch.where(known, found.atom_energies, nothing),
        torch.where(known, batch.atom_energies, nothing),
        torch.where(known, batch.weights[batch.owners], nothing),
    )


def _curvatures(found: Prediction, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The same of the Hessian times a direction."""
    known, nothing = torch.isfinite(batch.curvatures), torch.zeros_like(batch.curvatures)
    predicted = nothing if found.curvatures is None else found.curvatures
    return (
        torch.where(known, predicted, nothing),
        torch.where(known, batch.curvatures, nothing),
        torch.where(known, batch.weights[batch.owners, None], nothing),
    )


#: The quantity that needs labels of its own, and another derivative.
CURVED: Final = "curvature"
#: What a term can be about: energies in eV/atom, energies of single atoms in eV, forces in eV/Å,
#: stresses in eV/Å³, the Hessian times a random direction in eV/Å².
QUANTITIES: Final[Mapping[str, Compared]] = {
    "energy": lambda found, batch: (
        found.energies / batch.sizes,
        batch.energies / batch.sizes,
        batch.weights,
    ),
    "atom_energy": _atom_energies,
    "forces": lambda found, batch: (found.forces, batch.forces, batch.weights[batch.owners, None]),
    "stress": lambda found, batch: (found.stresses, batch.stresses, batch.weights[:, None]),
    CURVED: _curvatures,
}


@dataclass(frozen=True, slots=True)
class Term:
    """One row: weight · mean(w · Huber(predicted − labelled; δ)) / δ, w of the structure.

    Dividing by δ makes far errors count as weight · |error|, whatever δ is: δ alone decides below
    which error the loss is square, so that noise of that size does not steer the training.

    Attributes:
        quantity: Which of :data:`QUANTITIES`.
        weight: Per unit of the quantity.
        delta: δ, in the unit of the quantity.

    Raises:
        M3CompressError: For a quantity that is not in the table, or a δ that is not positive.
    """

    quantity: str
    weight: float
    delta: float

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise M3CompressError(
                f"no loss is known for {self.quantity!r}, expected one of {', '.join(QUANTITIES)}"
            )
        if not self.delta > 0:
            raise M3CompressError(f"the δ of a Huber loss is positive, got {self.delta:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HuberLoss:
    """Weighted sum of Huber losses, differentiable by the weights of the network.

    Attributes:
        terms: The table.
        form: How the three-body block is evaluated.
    """

    terms: tuple[Term, ...]
    form: ThreeBodyForm

    def __call__(self, network: NetworkFunction, batch: Batch) -> Tensor:
        """The loss of a network on a batch, shape ()."""
        found = batch.predict(network, self.form, training=True, curved=is_curved(self.terms))
        total = batch.energies.new_zeros(())
        for term in self.terms:
            predicted, labelled, weights = QUANTITIES[term.quantity](found, batch)
            losses = huber_loss(predicted, labelled, reduction="none", delta=term.delta)
            total = total + term.weight * (weights * losses).mean() / term.delta
        return total


def is_curved(terms: Iterable[Term]) -> bool:
    """Whether a table of losses asks for curvatures."""
    return any(term.quantity == CURVED for term in terms)
