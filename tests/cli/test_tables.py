"""What the commands print fits 80 columns with its names whole, and is whole in a file, too."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console
from rich.table import Table

from m3compress.benchmark import Measurement
from m3compress.commands import bench, conformance, distill, doctor
from m3compress.console import print_row, wide
from m3compress.distill.ladder.report import HEADINGS, Climbed
from m3compress.distill.on_policy.judge import FrameError, Judged
from m3compress.distill.on_policy.round import RoundReport
from m3compress.distill.report import Distilled
from m3compress.distill.speed import Speed
from m3compress.engines.conformance.report import Conformance, measured, not_given
from m3compress.models.student_record import Domain, Errors, StudentRecord

ROW = Measurement(
    structure="TiO2",
    n_atoms=10_200,
    engine="matgl PESCalculator",
    seconds=123.4,
    all_seconds=(123.4,),
    peak_bytes=73_400_000_000,
    speed_up=None,
    cpu_seconds=240.0,
    all_cpu_seconds=(240.0,),
    cpu_speed_up=None,
)


def shown(table: Table, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(table)
    assert max(map(len, stream.getvalue().splitlines())) <= width
    assert "…" not in stream.getvalue()
    return stream.getvalue()


def test_bench_tells_the_clock_and_the_processor() -> None:
    ours = replace(
        ROW, engine="m3compress", seconds=30.0, cpu_seconds=80.0, speed_up=4.11, cpu_speed_up=3.0
    )
    text = shown(bench._table([ours, ROW]))
    for whole in ("evaluation of TiO2", "matgl PESCalculator", "10200", "faster", "at 1 fs"):
        assert whole in text
    first, second = (line.split() for line in text.splitlines()[-2:])
    assert first == ["10200", "m3compress", "2.941", "7.843", "0.00288", "7.20", "4.11×", "3.00×"]
    assert second == ["10200", "matgl", "PESCalculator", "12.098", "23.529", "0.0007", "7.20"]


def test_doctor_keeps_names_whole() -> None:
    packages = tuple(
        doctor.Package(
            name="tensorrt-rtx-cu13-bindings",
            extra=extra,
            required=">=1",
            installed="1.5.0.114",
            problem="does not load: libtensorrt_rtx.so.1: cannot open shared object file",
        )
        for extra in ("tensorrt", None)
    )
    words = shown(doctor._table(packages)).split()
    assert {"package", "extra", "installed", "state", "tensorrt-rtx-cu13-bindings"} <= set(words)
    assert {"libtensorrt_rtx.so.1:", "1.5.0.114", "(base)"} <= set(words)


def printed(monkeypatch: pytest.MonkeyPatch, module: ModuleType, width: int) -> io.StringIO:
    """What a module prints on a console of this width."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    monkeypatch.setattr(module, "wide", lambda: console)
    return stream


def whole(stream: io.StringIO, width: int) -> str:
    """All of it in one line, if it fits the width and nothing was cut."""
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    return " ".join(text.split())


def student(name: str) -> Distilled:
    errors = Errors(energy_mae=12.34, force_mae=123.4, force_percent=12.3, stress_mae=0.123)
    domain = Domain(elements=("O",), temperatures=None, shortest={}, densities=(1.0, 2.0))
    judged = (Judged(name="hot", broken="", worst=None, wrong=False),) * 12
    last = RoundReport(
        number=1,
        steps=9,
        validation=FrameError(1.0, 1.0),
        own=None,
        limit=2.5,
        judged=judged,
        n_learned=0,
    )
    return Distilled(
        path=Path(f"{name}.m3c.safetensors"),
        record=StudentRecord(
            teacher={},
            data={},
            recipe={},
            errors={"test": errors, "own": errors, "test a-phase-with-a-long-name": errors},
            domain=domain,
        ),
        rounds=(last,),
        speed=Speed(
            n_atoms=400,
            student=1e-5,
            teacher=1e-2,
            ratio=1000.0,
            student_bytes=9e5,
            teacher_bytes=1e9,
        ),
        n_parameters=123_456,
    )


@pytest.mark.parametrize("width", [80, 160])
def test_a_ladder_keeps_names_and_headings_whole(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("small", "default", "three-body-4A-[no envelope]")
    found = Climbed(
        page=Path("x.html"),
        teacher="chgnet.model.dynamics:CHGNetCalculator",
        students={name: student(name) for name in names},
    )
    stream = printed(monkeypatch, distill, width)
    distill._print_ladder(found)
    text = whole(stream, width)
    for name in (*names, found.teacher, "123,456", "0 of 12", "1000.0×"):
        assert name in text
    if width == 80:
        assert "small* parameters 123,456; E 12.34 meV/atom; F 123.4 meV/Å; F 12.3 %;" in text
    else:
        assert {*" ".join(HEADINGS).replace(",", "").split()} <= set(text.split())


def test_errors_of_a_student_keep_names_whole() -> None:
    text = shown(distill._table(student("default")))
    assert "a-phase-with-a-long-name" in text
    assert "the student's own, hotter" in text


@pytest.mark.parametrize("width", [80, 160])
def test_conformance_keeps_names_whole(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    note = "StructureError: atoms 0 and 1 (hint: with ase.geometry.get_duplicate_atoms [a, b])"
    found = Conformance(
        code="ASE 3.29.0, Calculator",
        reference="silica.m3c.onnx in ONNX Runtime 1.32.0, cpu",
        clauses=(
            measured("energy in motion: departure", 3.6e-4, 1e-3, "meV/atom/ps", "of 9 atoms"),
            measured("forces", 1.0, 5e-5, "eV/Å", note),
            not_given("virials of atoms", "it gives none"),
        ),
    )
    stream = printed(monkeypatch, conformance, width)
    conformance._show(found)
    text = whole(stream, width)
    for part in ("ASE 3.29.0, Calculator against silica", "energy in motion: departure", "BROKEN"):
        assert part in text
    assert "ase.geometry.get_duplicate_atoms" in text
    if width == 80:
        assert "departure holds, 0.00036 meV/atom/ps, limit 0.001 meV/atom/ps; of 9" in text
        assert "virials of atoms –; it gives none" in text
        assert f"forces BROKEN, 1 eV/Å, limit 5e-05 eV/Å; {note}" in text


def test_a_file_gets_wide_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(*("a long heading of a column" for _ in range(5)), box=None)
    wide().print(table)
    assert capsys.readouterr().out.count("a long heading of a column") == 5


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_end_between_words_on_a_terminal_alone(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, force_terminal=terminal, color_system=None, soft_wrap=True
    )
    value = "messages [summed] on the neighbor leave 0.0123 eV/Å in " + 6 * "measured crystals "
    print_row("evidence", value, to=console)
    lines = stream.getvalue().splitlines()
    assert " ".join(stream.getvalue().split()) == f"evidence {value.strip()}"
    assert len(lines) == (3 if terminal else 1)
    assert lines[0].startswith("  evidence   messages [summed]")
    if terminal:
        assert max(map(len, lines)) <= 80
        assert all(line.startswith(" " * 13) for line in lines[1:])
