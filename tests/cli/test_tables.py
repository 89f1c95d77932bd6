"""What the commands print fits 80 columns with its names whole, and is whole in a file, too."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from m3compress.benchmark import Measurement
from m3compress.commands import bench, doctor
from m3compress.console import print_row, wide

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
