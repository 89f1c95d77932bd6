"""``m3compress distill``: a small model that copies a teacher, and how well it does."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from m3compress.api import distill, distill_ladder
from m3compress.console import (
    print_fitted,
    print_json,
    print_row,
    shows_progress,
    stage_bar,
    stderr,
    wide,
)
from m3compress.contract.progress import Progress
from m3compress.distill.data.sampling import Sampling, ladder
from m3compress.distill.ladder.report import HEADINGS, Climbed, rows_of
from m3compress.distill.report import Distilled, Reporter
from m3compress.distill.settings import DistillSettings
from m3compress.distill.students import PRESETS, Student, find_student
from m3compress.distill.training.memory import keep_memory
from m3compress.errors import M3CompressError


def run(
    *,
    teacher: str,
    structures: Path,
    output: Path,
    students: list[str],
    ladder: bool,
    temperatures: tuple[float, float],
    minutes: float,
    epochs: int | None,
    rounds: int,
    work: Path | None,
    resume: bool,
    labels: Path | None,
    convention: str | None,
    cutoff: float,
    matgl: Path | None,
    threads: int,
    seed: int,
    force: bool,
    as_json: bool,
) -> int:
    """Distil and print what came of it; returns the exit code."""
    chosen = _chosen(students, ladder=ladder)
    settings = DistillSettings(
        student=next(iter(chosen.values())),
        sampling=Sampling(temperatures=_rungs(*temperatures), seed=seed),
        rounds=rounds,
        minutes=minutes,
        epochs=epochs,
        threads=threads,
        seed=seed,
    )
    keep_memory()
    with stage_bar() as progress:
        options: Any = {
            "work": work,
            "resume": resume,
            "labels": labels,
            "convention": convention,
            "cutoff": cutoff,
            "matgl": matgl,
            "force": force,
            "reporter": Reporter(say=_say, progress=_bar_only(progress)),
        }
        done: Distilled | Climbed
        if ladder:
            done = distill_ladder(teacher, structures, output, chosen, settings, **options)
        else:
            done = distill(teacher, structures, output, settings, **options)
    if as_json:
        print_json(done.to_json())
    elif isinstance(done, Climbed):
        _print_ladder(done)
    else:
        wide().print(_table(done))
        _print_summary(done)
    return 0


def _chosen(sources: list[str], *, ladder: bool) -> dict[str, Student]:
    """Students by name: presets by theirs, others by those of their files."""
    sources = sources or (list(PRESETS) if ladder else ["default"])
    if len(sources) > 1 and not ladder:
        raise M3CompressError(
            f"{len(sources)} students are named, and one is trained",
            hint="--ladder trains all of them on the same labels",
        )
    found: dict[str, Student] = {}
    for source in sources:
        name = source if source in PRESETS else Path(source).stem
        if name in found:
            raise M3CompressError(
                f"two students are called {name}", hint="give their files different names"
            )
        found[name] = find_student(source)
    return found


def _rungs(lowest: float, highest: float) -> tuple[float, ...]:
    if not 0 < lowest <= highest:
        raise M3CompressError(
            f"temperatures are {lowest:g} and {highest:g}, expected the lower one first, in K",
            hint="such as --temperatures 300 1200",
        )
    return ladder(lowest, highest) if highest > lowest else (lowest,)


def _say(stage: str, detail: str) -> None:
    print_row(stage, detail, to=stderr())


def _bar_only(progress: Progress) -> Progress:
    """Without a bar, what is said of the training is enough."""

    def show(what: str, fraction: float) -> None:
        if what != "training" or shows_progress():
            progress(what, fraction)

    return show


def _print_ladder(done: Climbed) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(
            heading.replace(", ", "\n"),
            justify="left" if heading == HEADINGS[0] else "right",
            no_wrap=True,
        )
    rows = [astuple(row) for row in rows_of(done)]
    for row in rows:
        table.add_row(*map(Text, row))
    print_fitted(table, map(_in_words, rows), to=wide())
    to = stderr()
    print_row("front", f"{', '.join(done.front)} (*): no other is faster and nearer", to=to)
    if done.lost:
        print_row("note", f"{', '.join(done.lost)}: {_LOST}", to=to)
    for student in done.students.values():
        print_row("written", str(student.path), to=to)
    print_row("compared", str(done.page), to=to)
    chosen = done.students[(done.front or list(done.students))[-1]].path
    to.print(f"next: `m3compress export {chosen} -o {_artefact(chosen)}`", markup=False)


def _in_words(row: tuple[str, ...]) -> tuple[str, str]:
    """A row of a ladder as a paragraph: the name, and each number between its name and unit."""
    told = []
    for heading, value in zip(HEADINGS[1:], row[1:], strict=True):
        name, _, unit = heading.partition(", ")
        told.append(f"{name} {value} {unit}".rstrip() if value else "")
    return row[0], "; ".join(filter(None, told))


def _artefact(student: Path) -> str:
    return student.name.removesuffix(".safetensors") + ".onnx"


def _table(done: Distilled) -> Table:
    table = Table(
        title="mean absolute errors on trajectories that were not learned",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for heading in ("frames", "E\nmeV/atom", "F\nmeV/Å", "F\n%", "S\nGPa"):
        of_frames = heading == "frames"
        table.add_column(heading, justify="left" if of_frames else "right", overflow="fold")
    for name, errors in done.record.errors.items():
        stress = "" if errors.stress_mae is None else f"{errors.stress_mae:.3f}"
        table.add_row(
            _TITLES.get(name, name.removeprefix("test ")),
            f"{errors.energy_mae:.2f}",
            f"{errors.force_mae:.1f}",
            f"{errors.force_percent:.1f}",
            stress,
        )
    return table


_LOST = (
    "finds states of its own that are wrong: give more minutes or rounds, or simulate no hotter "
    "than was shown"
)
_TITLES = {"test": "teacher's dynamics", "own": "the student's own, hotter"}


def _print_summary(done: Distilled) -> None:
    to = stderr()
    last = done.rounds[-1]
    print_row("own", str(last), to=to)
    if last.n_wrong:
        print_row("note", f"the student {_LOST}", to=to)
    print_row("speed", str(done.speed), to=to)
    size = done.path.stat().st_size / 1e3
    print_row("written", f"{done.path}  {size:.0f} kB, {done.n_parameters:,} parameters", to=to)
    to.print(f"next: `m3compress export {done.path} -o {_artefact(done.path)}`", markup=False)
