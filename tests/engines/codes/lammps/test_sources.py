"""The C++ of the pair style: as little as was promised, licensed as LAMMPS is."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

from m3compress.engines.codes.lammps.folder import SOURCES
from m3compress.engines.native.build import find_compiler

FILES = sorted([*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp")])

HASHES = """
#include <cstdio>
#include "seal.h"
int main(int, char** files) {
  while (*++files) {
    const std::string hash = m3compress::Sha256::of(m3compress::contents_of(*files));
    std::printf("%s\\n", hash.c_str());
  }
}
"""


def test_size_and_width() -> None:
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in FILES}
    assert sum(len(one) for one in lines.values()) <= 700
    assert [name for name, one in lines.items() if any(len(line) > 118 for line in one)] == []


def test_every_file_names_its_license() -> None:
    assert all("GNU General Public License, version 2" in path.read_text()[:200] for path in FILES)
    text = (SOURCES / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "BSD 3-Clause" in text


def test_hashes(tmp_path) -> None:
    compiler = find_compiler()
    assert compiler is not None
    (tmp_path / "hashes.cpp").write_text(HASHES)
    command = (*compiler.command, "-std=c++17", "-O1", f"-I{SOURCES}", "hashes.cpp", "-o", "hashes")
    subprocess.run(command, cwd=tmp_path, check=True)
    names = []
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 10_000):
        content = bytes((7 * k + size) % 256 for k in range(size))
        (tmp_path / str(size)).write_bytes(content)
        names.append((str(size), hashlib.sha256(content).hexdigest()))
    found = subprocess.run(
        [shutil.which("hashes", path=str(tmp_path)) or "", *(name for name, _ in names)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found == [digest for _, digest in names]
