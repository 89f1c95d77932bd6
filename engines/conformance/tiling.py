"""What a repeated cell must give: that of the cell, as often."""

from __future__ import annotations

import numpy as np

from m3compress.contract.evaluation import Evaluation


def tiled(result: Evaluation, times: int) -> Evaluation:
    """The evaluation of a cell repeated by ASE, from that of the cell.

    Args:
        result: Of the cell.
        times: Cells in the repeated one.
    """
    # A constant of the model counts once per structure, not once per cell.
    constant = result.energy - float(result.energies.sum())
    return Evaluation(
        energy=times * (result.energy - constant) + constant,
        energies=np.tile(result.energies, times),
        forces=np.tile(result.forces, (times, 1)),
        virial=times * result.virial,
    )
