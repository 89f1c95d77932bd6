"""M3GNet in every convention: definition, bases, three-body forms, readers, structure zoo."""

from __future__ import annotations

if __name__ != "m3compress.models":
    raise ImportError("import 'm3compress.models', not 'models' (is the repository on sys.path?)")
