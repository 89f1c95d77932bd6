"""Processes that work side by side, each on one thread, and end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def worker_processes(n_workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned processes; where the block is left early, whatever they do is stopped at once.

    Args:
        n_workers: How many.

    Yields:
        What to submit work to.
    """
    executor = ProcessPoolExecutor(
        n_workers, multiprocessing.get_context("spawn"), initializer=_prepare_process
    )
    finished = False
    try:
        yield executor
        finished = True
    finally:
        for process in list((executor._processes or {}).values()):  # noqa: SLF001
            if not finished:
                process.terminate()
        # Processes that are done are waited for: their processor time is this one's from then on.
        executor.shutdown(wait=finished, cancel_futures=True)


def _prepare_process() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Die when the parent is killed: a resumed one must be the only writer of the folders."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
