"""The C++ sources: as few and as readable as was promised."""

from __future__ import annotations

import re

from m3compress.engines.native.build import SOURCES

FILES = sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp")])


def test_size_and_width() -> None:
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in FILES}
    assert sum(len(one) for one in lines.values()) <= 2000
    assert all(len(one) <= 400 for one in lines.values())
    assert [name for name, one in lines.items() if any(len(line) > 118 for line in one)] == []


def test_what_a_code_needs_is_plain_c() -> None:
    header = (SOURCES / "m3c.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"M3C_API [^;]*?(m3c_\w+)\(", header))
    assert len(declared) == 13
    assert re.findall(r"#include <(.*)>", header) == ["stddef.h", "stdint.h"]
