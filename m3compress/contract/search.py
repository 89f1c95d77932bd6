"""vesin's search for neighbours, without torch.

vesin imports torch wherever that is installed, for tensors that it is never given here. That takes
some three seconds of every process that only runs a file.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def _without_torch() -> Any:
    """Vesin's class; whoever imports vesin after this gets it whole."""
    if "torch" in sys.modules or "vesin" in sys.modules:
        return importlib.import_module("vesin").NeighborList
    sys.modules["torch"] = None  # type: ignore[assignment]  # to import it fails
    try:
        return importlib.import_module("vesin").NeighborList
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "vesin"]:
            del sys.modules[name]
        del sys.modules["torch"]


NeighborList = _without_torch()
