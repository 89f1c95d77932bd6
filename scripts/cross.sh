#!/usr/bin/env bash
# Compile the native core for processors that are not at hand, with the compiler of the package ziglang
# (pip install 'm3compress[native]'), which holds the libraries of all of them. Skips where it is missing.
# PYTHON names the interpreter, arguments the targets of Zig.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python}
if ! "$PYTHON" -c 'import ziglang' 2>/dev/null; then
  echo "skipped: $PYTHON has no ziglang (pip install 'm3compress[native]')"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

(($#)) || set -- x86_64-linux-gnu aarch64-linux-gnu
for target in "$@"; do
  "$PYTHON" - "$folder/$target" "$target" <<'PY'
import sys
from pathlib import Path

sys.path.insert(0, "engines/native")  # it needs nothing of the package
from build import Compiler, build_library

folder, target = sys.argv[1:]
compiler = Compiler((sys.executable, "-m", "ziglang", "c++"), openmp=False)
machine = target.partition("-")[0]
build_library(Path(folder), compiler, machine=machine, extra=("-target", target))
PY
  echo "$target compiles"
done
