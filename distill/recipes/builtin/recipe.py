"""What the built-in model is and how it is trained: sizes and settings."""

from __future__ import annotations

from m3compress.contract.forms import FACTORIZED
from m3compress.distill.losses import HuberLoss, Term
from m3compress.distill.training.loop import Settings
from m3compress.distill.training.schedule import Schedule, steps_of
from m3compress.models.config import CONVENTIONS, M3GNetConfig

WIDTH = 64

CONFIG = M3GNetConfig(
    elements=("O", "Si"),
    cutoff=5.0,
    three_body_cutoff=4.0,
    max_n=5,
    max_l=3,
    n_blocks=2,
    node_width=WIDTH,
    edge_width=WIDTH,
    hidden=(WIDTH, WIDTH),
    readout_hidden=(WIDTH, WIDTH, WIDTH),
    edge_basis="smooth",
    triplet_basis="smooth",
    edge_bias=True,
    message_activation="identity",
    convention=CONVENTIONS["matgl-4.1"],
)

EPOCHS = 66
LEARNING_RATE = 2e-3
_BATCH_SIZE = 4
LOSS = HuberLoss(
    terms=(
        Term("energy", weight=2.0, delta=0.1),
        Term("forces", weight=1.0, delta=0.2),
        Term("stress", weight=10.0, delta=0.02),
    ),
    form=FACTORIZED,
)


def settings(
    n_frames: int, *, epochs: int = EPOCHS, learning_rate: float = LEARNING_RATE
) -> Settings:
    """How to train on so many frames."""
    steps = steps_of(epochs, n_frames, _BATCH_SIZE)
    schedule = Schedule(steps=steps, learning_rate=learning_rate)
    return Settings(schedule=schedule, loss=LOSS, batch_size=_BATCH_SIZE, seed=20220101)
