"""The release gate: checks that run the exported file in its engine against its reference."""

from __future__ import annotations

if __name__ != "m3compress.validate":
    raise ImportError(
        "import 'm3compress.validate', not 'validate' (is the repository on sys.path?)"
    )
