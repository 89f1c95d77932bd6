#!/usr/bin/env bash
# Build the import package into .typecheck and check its types there: type checkers cannot follow the
# mapping of the folders to m3compress.*. Arguments go to mypy; PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python}

rm -rf .typecheck
# Its own build folder, so that nothing stale is copied and nothing is left in the tree.
"$PYTHON" -c "import setuptools; setuptools.setup()" -q \
  egg_info --egg-base "$(mktemp -d)" build_py --no-compile --build-lib .typecheck
exec "$PYTHON" -m mypy "$@"
