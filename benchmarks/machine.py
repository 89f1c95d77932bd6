"""What the figures of a benchmark were taken on, and by which command."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

#: The widest of them decides what the native core and matrix products run on.
VECTORS = ("avx512f", "avx2", "avx", "asimd")


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", said.get("Features", "")).split()
    return {
        "cpu": said.get("model name", platform.processor()),
        "family and model": [said.get("cpu family"), said.get("model")],
        "vectors": next((name for name in VECTORS if name in flags), None),
        "processors": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def command() -> str:
    """The command line that runs, without folders of this machine."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
