"""Candidates whose cost is known; a module of their own, which measuring processes can import."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Work:
    """Takes this long asleep and this long awake, and this much memory, in loading and in steps."""

    name: str = "work"
    asleep: float = 0.0
    awake: float = 0.0
    loading: int = 0
    kept: int = 0
    megabytes: int = 0

    def open(self) -> Work:
        for n_bytes in (self.loading, self.kept):
            block = np.ones(n_bytes * MEGABYTE, dtype=np.uint8)
        object.__setattr__(self, "block", block)
        return self

    def evaluate(self, atoms: Atoms) -> None:
        np.ones(self.megabytes * MEGABYTE, dtype=np.uint8)
        time.sleep(self.asleep)
        start = time.process_time()
        while time.process_time() - start < self.awake:
            pass


@dataclass(frozen=True)
class Faulty:
    """Fails in this way when it steps for the first time."""

    how: str
    name: str = "the faulty one"

    def open(self) -> Faulty:
        if self.how == "does not open":
            raise ValueError("no such model")
        return self

    def evaluate(self, atoms: Atoms) -> None:
        if self.how == "dies":
            os._exit(1)
        if self.how == "hangs":
            time.sleep(60)
        raise ValueError("no such element")
