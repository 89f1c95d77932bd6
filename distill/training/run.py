"""The state of a training, and its checkpoints."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from m3compress.contract.arrays import FloatArray
from m3compress.contract.files import write_atomically
from m3compress.contract.forms import ThreeBodyForm
from m3compress.distill.training.average import running_average
from m3compress.distill.training.optimizers import OptimizerName, make_optimizer
from m3compress.errors import M3CompressError
from m3compress.models.network import M3GNet
from m3compress.models.potential import Potential, Provenance

_COUNTERS = ("epoch", "steps", "in_epoch", "total", "seconds")
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError)

#: Element energies of the same frames differ by less on any machine (eV).
_SAME_REFERENCES = 1e-3


@dataclass(slots=True)
class Run:
    """Everything that changes while training, and the references that it is relative to.

    Attributes:
        network: Gets the steps of the optimiser.
        average: Running average of its weights, which is the result.
        optimizer: Of the network's parameters.
        references: Energy of each element in eV that labels are relative to, shape (n_elements,).
        epoch: Passes over all frames that are done.
        steps: Steps of the optimiser so far.
        in_epoch: Those of them in the epoch that is not done.
        total: Sum of the losses of these.
        seconds: Of the processor, spent in steps so far.
        history: Loss and held-back errors after each epoch.
    """

    network: M3GNet
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    references: FloatArray
    epoch: int = 0
    steps: int = 0
    in_epoch: int = 0
    total: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def averaged(self) -> M3GNet:
        """The network with the averaged weights."""
        return cast("M3GNet", self.average.module)

    def count(self, loss: float, seconds: float) -> None:
        """Note a step."""
        self.steps += 1
        self.in_epoch += 1
        self.total += loss
        self.seconds += seconds

    def begin_epoch(self) -> None:
        """Note that an epoch is done."""
        self.epoch += 1
        self.in_epoch = 0
        self.total = 0.0

    def save(self, path: Path) -> None:
        """Write a checkpoint: all of it, or none if the process is killed meanwhile.

        Raises:
            M3CompressError: If it cannot be written.
        """
        content = io.BytesIO()
        document = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in _COUNTERS},
            "history": self.history,
            "references": torch.tensor(self.references),
        }
        torch.save(document, content)
        write_atomically(path, content.getvalue())

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same network on the same frames.

        On one thread, what follows is to the last bit what an uninterrupted run does.

        Raises:
            M3CompressError: If it cannot be read, or belongs to another network or other frames.
        """
        document = read_checkpoint(path)
        try:
            self._require_same_frames(document["references"].numpy(), path)
            self.network.load_state_dict(document["network"])
            self.average.load_state_dict(document["average"])
            self._load_optimizer(document["optimizer"])
            for name in _COUNTERS:
                setattr(self, name, document[name])
            self.history = document["history"]
        except _DAMAGE as error:
            raise _foreign(path, error) from error

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        """PyTorch asks only for the number of the weights, and a step would miss the rest."""
        missing = set(self.optimizer.param_groups[0]) - set(state["param_groups"][0])
        if missing:
            raise ValueError(f"its optimiser is another one, without {', '.join(sorted(missing))}")
        self.optimizer.load_state_dict(state)

    def _require_same_frames(self, references: FloatArray, path: Path) -> None:
        if np.shape(references) != np.shape(self.references) or not np.allclose(
            references, self.references, rtol=0, atol=_SAME_REFERENCES
        ):
            raise M3CompressError(
                f"{path} was trained on other frames: with element energies of "
                f"{references.tolist()} eV, where these frames give {self.references.tolist()} eV",
                hint="train in another folder, or start from its weights",
            )

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run; schedule and optimiser begin anew.

        Raises:
            M3CompressError: If it cannot be read, or belongs to another network.
        """
        document = read_checkpoint(path)
        try:
            self.average.load_state_dict(document["average"])
            self.network.load_state_dict(self.averaged.state_dict())
            self.average.n_averaged.zero_()
        except _DAMAGE as error:
            raise _foreign(path, error) from error

    def potential(self, form: ThreeBodyForm) -> Potential:
        """A copy of the averaged weights with the element references as a potential.

        Args:
            form: How it evaluates the three-body block.
        """
        network = M3GNet(self.network.config).to(torch.float32)
        network.load_state_dict(self.averaged.state_dict())
        return Potential(
            network=network.eval().requires_grad_(requires_grad=False),
            form=form,
            element_energies=self.references,
            energy_offset=0.0,
            provenance=Provenance(format="m3compress", path="", sha256=""),
        )


def begin(
    network: M3GNet,
    references: FloatArray,
    *,
    decay: float,
    learning_rate: float,
    optimizer: OptimizerName = "adam",
) -> Run:
    """A run before its first step.

    Args:
        network: With its first weights.
        references: Energy of each element in eV, shape (n_elements,).
        decay: Of the running average of the weights, per step.
        learning_rate: Of the optimiser until the schedule sets it.
        optimizer: Which one.
    """
    chosen = make_optimizer(optimizer, network.parameters(), learning_rate)
    return Run(network, running_average(network, decay), chosen, references)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The document of a checkpoint, tensors and plain values only.

    Raises:
        M3CompressError: If it cannot be read.
    """
    try:
        document = torch.load(path, weights_only=True)
    except Exception as error:  # a damaged pickle fails in many ways
        raise M3CompressError(
            f"{path} is not a checkpoint that can be read: {error}",
            hint="remove it, and the training starts from the beginning",
        ) from error
    return cast("dict[str, Any]", document)


def _foreign(path: Path, error: Exception) -> M3CompressError:
    return M3CompressError(
        f"{path} is not a checkpoint of this network: {error}",
        hint="train in another folder, or remove it",
    )
