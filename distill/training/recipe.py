"""How a student is trained: everything that its file may say, and what it says by default."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from m3compress.distill.losses import Term
from m3compress.distill.training.optimizers import OptimizerName


class Recipe(BaseModel):
    """Settings of a training, but for its length.

    Attributes:
        optimizer: ``soap`` or ``adam``.
        learning_rate: Peak.
        warm_up: Fraction of the steps over which the rate rises.
        decay: Of the running average of the weights, per step.
        batch_atoms: Atoms of a batch, about.
        compiled: Whether the steps are compiled, which takes minutes and then nearly halves them;
            where that pays by default.
        loss: Table of losses; energies in eV/atom, forces in eV/Å, stresses in eV/Å³. By default
            δ is about the error of a finished student: labels of a teacher have no noise, and a
            larger δ would leave all of the training to the few frames with large errors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    optimizer: OptimizerName = "soap"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-3
    warm_up: Annotated[float, Field(gt=0, lt=1)] = 0.03
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    batch_atoms: Annotated[int, Field(ge=1)] = 50
    compiled: bool | None = None
    loss: Annotated[tuple[Term, ...], Field(min_length=1)] = (
        Term("energy", weight=2.0, delta=0.005),
        Term("forces", weight=1.0, delta=0.03),
        Term("stress", weight=10.0, delta=0.002),
        Term("atom_energy", weight=0.5, delta=0.02),
    )
