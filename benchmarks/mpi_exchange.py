"""Time of an exchange between two ranks by its size, with the MPI of LAMMPS.

Run by ``lammps_scaling.py``; alone: ``mpiexec -n 2 python benchmarks/mpi_exchange.py``.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from m3compress.engines.codes.lammps.example import program
from m3compress.engines.codes.lammps.opening import find_mpi

SIZES: Final = (8, 1024, 65_536, 1_048_576, 4_194_304)  # bytes
_ROUNDS: Final = 200
# Of MPICH and all that share its ABI.
_WORLD: Final = 0x44000000
_BYTE: Final = 0x4C00010D
_IGNORE: Final = ctypes.c_void_p(1)


def measured() -> dict[str, float]:
    """Seconds of latency and bytes per second of two ranks of this machine."""
    command = [program("mpiexec"), "-n", "2", sys.executable, str(Path(__file__).resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = {int(size): t for size, t in json.loads(done.stdout).items()}
    small, large = SIZES[0], SIZES[-1]
    return {
        "latency_s": seconds[small],
        "bytes_per_s": (large - small) / (seconds[large] - seconds[small]),
        **{f"seconds_of_{size}_bytes": seconds[size] for size in SIZES},
    }


def main() -> None:
    """Exchange with the other rank, and print the medians."""
    mpi: Any = ctypes.CDLL(str(find_mpi()), mode=ctypes.RTLD_GLOBAL)
    mpi.MPI_Init(None, None)
    rank = ctypes.c_int()
    mpi.MPI_Comm_rank(_WORLD, ctypes.byref(rank))
    medians = {}
    for size in SIZES:
        here, there = (ctypes.create_string_buffer(size) for _ in range(2))
        taken = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            mpi.MPI_Sendrecv(
                *(here, size, _BYTE, 1 - rank.value, 0),
                *(there, size, _BYTE, 1 - rank.value, 0),
                *(_WORLD, _IGNORE),
            )
            taken.append(time.perf_counter() - start)
        medians[size] = float(np.median(taken))
    if rank.value == 0:
        print(json.dumps(medians))
    mpi.MPI_Finalize()


if __name__ == "__main__":
    main()
