"""Run one job, keeping checkpoints, so that a killed run loses one segment at most.

A folder holds ``job.json``, ``trajectory.extxyz.gz`` (one gzip member per segment; any code that
reads extended XYZ opens it) and ``state.npz``, which is replaced after every segment and says how
many bytes of the trajectory are sound.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import ase.io
import numpy as np
from ase import Atoms, units

from m3compress.contract.evaluation import Evaluator
from m3compress.contract.files import write_atomically
from m3compress.engines.codes.ase import EvaluatorCalculator
from m3compress.engines.dynamics.integrate import State, end_of_segment, run_segment, start
from m3compress.engines.dynamics.job import Job
from m3compress.errors import M3CompressError, StructureError

JOB = "job.json"
TRAJECTORY = "trajectory.extxyz.gz"
STATE = "state.npz"

#: A run this much hotter than its target has exploded (K; mlipaudit).
_EXPLOSION = 10_000.0

#: What a file that is not whole raises, whoever reads it.
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error)

#: Called after every step with the steps done so far.
Tick = Callable[[int], None]


class BrokenRunError(Exception):
    """A run that cannot go on: the outcome of the run, not a failure of the program."""


def ignore(step: int) -> None:
    """The tick of a run that nobody watches."""
    del step


def run_job(job: Job, root: Path, evaluator: Evaluator, tick: Tick = ignore) -> None:
    """Run a job to its end in this process, from its last checkpoint if there is one.

    Args:
        job: What to run.
        root: Folder of all jobs.
        evaluator: What ``job.evaluator`` is, opened.
        tick: Told the number of steps done.

    Raises:
        M3CompressError: If the folder cannot be written or holds another job.
    """
    folder = claim_folder(job, root)
    state, size = _load(job, folder)
    atoms = job.structure.copy()
    atoms.calc = EvaluatorCalculator(evaluator)
    while state.step < job.total_steps and not _is_broken(folder):
        stop = end_of_segment(job, state.step)
        frames: list[Atoms] = []
        try:
            for step in run_segment(job, atoms, state, stop):
                _require_sane(job, atoms, evaluator.cutoff, full=step % job.every == 0)
                if step > job.equilibration and step % job.every == 0:
                    frames.append(_frame(atoms, step - job.equilibration, job))
                tick(step)
        except (BrokenRunError, StructureError, FloatingPointError, np.linalg.LinAlgError) as error:
            _append(folder, size, frames)
            _mark_broken(folder, f"after step {state.step}: {error}")
            return
        size = _append(folder, size, frames)
        state = State(
            stop,
            atoms.get_positions(),
            atoms.get_momenta(),
            np.array(atoms.cell, dtype=np.float64),
            atoms.info.pop("cell_momentum"),
        )
        _save(folder, state, size)


def claim_folder(job: Job, root: Path) -> Path:
    """The folder of a job, made if it is not there.

    Raises:
        M3CompressError: If it holds another job, or cannot be written.
    """
    folder = job.folder(root)
    note = folder / JOB
    document = json.loads(json.dumps(job.to_json()))
    if note.is_file():
        earlier = json.loads(note.read_text(encoding="utf-8"))
        if earlier == document:
            return folder
        # The same files in another place are the same run, which is repeated from where they are;
        # what is in them decided the name of the folder.
        if {**earlier, "evaluator": None} != {**document, "evaluator": None}:
            raise M3CompressError(f"{folder} holds another run", hint="use another folder")
    write_atomically(note, json.dumps(document).encode())
    return folder


def outcome(folder: Path) -> str | None:
    """Why the run of a folder broke; None if it did not."""
    broken = folder / "broken.txt"
    return broken.read_text(encoding="utf-8") if broken.is_file() else None


def steps_done(folder: Path) -> int:
    """Steps of the last checkpoint."""
    try:
        with _opened(folder / STATE) as saved:
            return int(saved["step"])
    except _DAMAGE:
        return 0


def read_frames(folder: Path) -> list[Atoms]:
    """All kept frames; thermodynamics in ``info``, momenta as an array.

    Raises:
        M3CompressError: If the file is damaged.
    """
    path = folder / TRAJECTORY
    if not path.is_file():
        return []
    try:
        content = path.read_bytes()
        if outcome(folder) is None and (folder / STATE).is_file():
            # What a killed process wrote after its last checkpoint may end anywhere.
            content = content[: _sound_bytes(folder)]
        with gzip.open(io.BytesIO(content), "rt", encoding="utf-8") as stream:
            frames: list[Atoms] = list(ase.io.read(stream, index=":", format="extxyz"))
    except _DAMAGE as error:
        raise M3CompressError(
            f"{path} is damaged: {error}", hint="remove its folder and run again with --resume"
        ) from error
    return frames


@contextmanager
def _opened(state: Path) -> Iterator[Mapping[str, Any]]:
    """Arrays of a checkpoint by name; NumPy alone would leave a damaged file open."""
    with state.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
        yield saved


def _sound_bytes(folder: Path) -> int:
    with _opened(folder / STATE) as saved:
        return int(saved["size"])


def _is_broken(folder: Path) -> bool:
    return outcome(folder) is not None


def _mark_broken(folder: Path, reason: str) -> None:
    write_atomically(folder / "broken.txt", reason.encode())


def _require_sane(job: Job, atoms: Atoms, cutoff: float, *, full: bool) -> None:
    """Stop a run that means nothing any more.

    Raises:
        BrokenRunError: If it exploded, or (``full``) an atom has left the others.
    """
    temperature = atoms.get_kinetic_energy() / (1.5 * units.kB * len(atoms))
    if not np.isfinite(temperature):
        raise BrokenRunError("the temperature is not a number")
    if not np.isfinite(atoms.calc.results["energy"]):
        raise BrokenRunError("the energy is not a number")
    if temperature > job.temperature + _EXPLOSION:
        raise BrokenRunError(f"it exploded: {temperature:.0f} K")
    if full and len(atoms) > 1:
        from m3compress.contract.neighbors import find_edges

        edges, _ = find_edges(atoms, cutoff)
        alone = np.bincount(edges.centers, minlength=len(atoms)) == 0
        if alone.any():
            raise BrokenRunError(
                f"atom {int(alone.argmax())} (counting from 0) has no neighbour within {cutoff} Å"
            )


def _frame(atoms: Atoms, step: int, job: Job) -> Atoms:
    frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.set_momenta(atoms.get_momenta())
    results = atoms.calc.results
    frame.info = {
        "time_fs": step * job.timestep,
        "potential_energy": float(results["energy"]),
        "kinetic_energy": float(atoms.get_kinetic_energy()),
    }
    return frame


def _append(folder: Path, size: int, frames: list[Atoms]) -> int:
    """Add frames as one gzip member after the first ``size`` bytes; returns the new size."""
    if not frames:
        return size
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz", write_results=False)
    # No time stamp: the same frames are the same bytes.
    member = gzip.compress(text.getvalue().encode(), compresslevel=4, mtime=0)
    path = folder / TRAJECTORY
    try:
        with path.open("r+b" if path.is_file() else "wb") as stream:
            stream.truncate(size)
            stream.seek(size)
            stream.write(member)
            # The checkpoint, which is flushed as well, counts on it.
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise M3CompressError(
            f"cannot write {path}: {error.strerror}", hint="free some space, then --resume"
        ) from error
    return size + len(member)


def _save(folder: Path, state: State, size: int) -> None:
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        "step": state.step,
        "size": size,
        "positions": state.positions,
        "momenta": state.momenta,
        "cell": state.cell,
        "cell_momentum": state.cell_momentum,
    }
    np.savez(content, **arrays)
    write_atomically(folder / STATE, content.getvalue())


def _load(job: Job, folder: Path) -> tuple[State, int]:
    path = folder / STATE
    if not path.is_file():
        return start(job), 0
    try:
        with _opened(path) as saved:
            state = State(
                int(saved["step"]),
                saved["positions"],
                saved["momenta"],
                saved["cell"],
                float(saved["cell_momentum"]),
            )
            return state, int(saved["size"])
    except _DAMAGE as error:
        raise M3CompressError(
            f"{path} is damaged: {error}", hint="remove its folder and run again with --resume"
        ) from error
