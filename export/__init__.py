"""From a potential to a file that runs elsewhere: trace, ONNX, TensorRT, manifest, parity."""

from __future__ import annotations

if __name__ != "m3compress.export":
    raise ImportError("import 'm3compress.export', not 'export' (is the repository on sys.path?)")
