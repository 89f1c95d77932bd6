"""Runtimes that load an exported file with numpy alone, and the MD codes they plug into."""

from __future__ import annotations

if __name__ != "m3compress.engines":
    raise ImportError("import 'm3compress.engines', not 'engines' (is the repository on sys.path?)")
