"""Make a trained M3GNet potential small and fast, and prove that it still tells the truth.

>>> from m3compress import Calculator
>>> atoms.calc = Calculator("model.m3c.onnx")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m3compress.engines.codes.ase import Calculator as Calculator

__version__ = "0.1.0"
__all__ = ["Calculator", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the calculator only when asked for, so that ``import m3compress`` stays cheap."""
    if name == "Calculator":
        from m3compress.engines.codes.ase import Calculator

        return Calculator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
