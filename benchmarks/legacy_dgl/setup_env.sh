#!/usr/bin/env bash
# Make a virtual environment with the last DGL-era matgl (2.0.4) and DGL 2.1.0.
#
#   bash benchmarks/legacy_dgl/setup_env.sh [VENV]      (default: .venv-legacy-dgl)
#
# It is kept apart from the project's own environment, which has neither. PYTHON names the
# interpreter (default: python3.11; DGL 2.1.0 has no wheel for anything newer).
set -euo pipefail

venv="${1:-.venv-legacy-dgl}"
python="${PYTHON:-python3.11}"

if ! command -v "$python" >/dev/null; then
    echo "error: $python not found" >&2
    echo "hint: install Python 3.11 or set PYTHON to one" >&2
    exit 2
fi
version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
if [ "$version" != 3.11 ]; then
    echo "error: $python is Python $version, expected 3.11" >&2
    echo "hint: set PYTHON to a Python 3.11 interpreter" >&2
    exit 2
fi
if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ]; then
    echo "error: $venv exists and is not a virtual environment" >&2
    echo "hint: name another folder" >&2
    exit 2
fi

"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)

# torch first and alone, so that nothing below chooses another one.
"${pip[@]}" torch==2.13.0
# What matgl and DGL do import. The versions are those that the numbers in docs/legacy-dgl.md were
# measured with; pymatgen-core matters most: its neighbour search fixes the order of the bonds.
"${pip[@]}" ase==3.29.0 numpy==2.4.6 pymatgen-core==2026.10.16 scipy==1.17.1 \
    networkx pandas psutil pydantic requests tqdm
# matgl 2.0.4 also asks for torch <= 2.7.0, torch-geometric, lightning and boto3, which evaluating
# a potential does not need; torchdata is pinned to DGL's era. Hence --no-deps, and last.
"${pip[@]}" --no-deps matgl==2.0.4 dgl==2.1.0 torchdata==0.7.1

# DGL's `graphbolt` (a data loader for huge graphs) loads a C++ library made for one exact torch
# version; the wheel of DGL 2.1.0 has them up to torch 2.2.1, so `import dgl` fails with torch 2.13.
# DGL only mentions graphbolt's names at import time and matgl never calls it: replace the
# sub-package by one that answers any name with an empty class.
purelib="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
cat >"$purelib/dgl/graphbolt/__init__.py" <<'STUB'
"""Stand-in for dgl.graphbolt, whose C++ library does not exist for this version of torch."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
STUB

# DGLBACKEND: without it DGL's first import writes ~/.dgl/config.json.
DGLBACKEND=pytorch MATGL_BACKEND=DGL "$venv/bin/python" - <<'CHECK'
from importlib.metadata import version

import dgl
import torch
from matgl.ext.ase import PESCalculator  # noqa: F401

graph = dgl.graph((torch.tensor([0, 1]), torch.tensor([1, 0])))
graph.edata["message"] = torch.tensor([3.0, 5.0])
graph.update_all(dgl.function.copy_e("message", "message"), dgl.function.sum("message", "total"))
assert graph.ndata["total"].tolist() == [5.0, 3.0], "DGL sums messages wrongly"
names = ("matgl", "dgl", "torch", "pymatgen-core", "ase", "numpy")
print("ready:", ", ".join(f"{name} {version(name)}" for name in names))
CHECK
