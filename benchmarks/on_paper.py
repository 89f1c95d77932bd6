"""A model on paper of more ranks than were measured: what is computed, what is exchanged.

A rank has a cube of the crystal. Its step is the time of its atoms, as one rank was measured, and
the time of its exchanges: positions and forces once, features of ghosts there and adjoints back
between any two blocks, each in six messages. A message takes the latency and its bytes over the
bandwidth; rows are packed and unpacked at the rate that one rank was measured at, whose ghosts are
its own atoms. Nothing overlaps, all ranks are equally fast, and none waits for another: real
machines are slower.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

_FACES: Final = 6
_VECTOR: Final = 24  # bytes of a position, of a force
_FS_PER_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What one rank, and two ranks that do nothing but exchange, were measured at.

    Attributes:
        seconds_per_atom: Of a step, without its exchanges.
        seconds_per_row: Of packing and unpacking the features of a ghost once.
        row_bytes: Of these features.
        n_blocks: Of the model.
        cutoff: Of the model in Å.
        reach: How far ghosts reach in Å: cutoff and skin.
        density: Atoms per Å³.
    """

    seconds_per_atom: float
    seconds_per_row: float
    row_bytes: int
    n_blocks: int
    cutoff: float
    reach: float
    density: float


@dataclass(frozen=True, slots=True)
class Network:
    """How ranks exchange.

    Attributes:
        name: What it is, and whether it was measured.
        latency_s: Of a message.
        bytes_per_s: Of a rank.
    """

    name: str
    latency_s: float
    bytes_per_s: float


#: No machine of ours: what several ranks on a node with 100 Gbit/s and 2 µs have each.
CLUSTER: Final = Network("a cluster, assumed: 2 µs, 1 GB/s for a rank", 2e-6, 1e9)


def on_paper(measured: Measured, network: Network, n_atoms: float, n_ranks: int) -> dict[str, Any]:
    """One row: a step of so many atoms on so many ranks."""
    own = n_atoms / n_ranks
    side = (own / measured.density) ** (1 / 3)
    ghosts = measured.density * (side + 2 * measured.reach) ** 3 - own
    rounds = 2 * (measured.n_blocks - 1)
    sent = ghosts * (rounds * measured.row_bytes + 2 * _VECTOR)
    computing = own * measured.seconds_per_atom
    packing = rounds * ghosts * measured.seconds_per_row
    messages = (rounds + 2) * _FACES * network.latency_s
    exchanging = packing + messages + sent / network.bytes_per_s
    wide = ((side + 2 * (measured.n_blocks - 1) * measured.cutoff) / side) ** 3
    return {
        "network": asdict(network),
        "atoms": n_atoms,
        "ranks": n_ranks,
        "atoms_per_rank": own,
        "ghosts_per_rank": ghosts,
        "MB_sent_per_rank": sent / 1e6,
        "seconds_computing": computing,
        "seconds_exchanging": exchanging,
        "efficiency": computing / (computing + exchanging),
        "ns_per_day_of_1_fs": _FS_PER_DAY / (computing + exchanging) * 1e-6,
        "atoms_evaluated_by_wide_per_atom": wide,
    }
