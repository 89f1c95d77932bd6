"""Take the three-body block out (exactly, by removal, by pruning), and train networks."""

from __future__ import annotations

if __name__ != "m3compress.distill":
    raise ImportError("import 'm3compress.distill', not 'distill' (is the repository on sys.path?)")
