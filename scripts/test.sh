#!/usr/bin/env bash
# Set up and check everything: lint, types, tests, and the main command on the built-in model.
# Arguments go to pytest: `bash scripts/test.sh -m "not slow"`. With M3COMPRESS_SCRATCH, a folder, the
# exported file is left there, and what the gate measured.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

install dev -e ".[dev]" torch_runstats opt_einsum_fx e3nn

section "lint"
"$VENV/bin/ruff" check --extend-exclude "$VENV" .
"$VENV/bin/ruff" format --check --extend-exclude "$VENV" .
"$VENV/bin/clang-format" --dry-run --Werror engines/{native,codes/lammps}/*.{h,cpp}

SCRATCH=${M3COMPRESS_SCRATCH:-$(mktemp -d)}

section "types, and beside them the main command on the built-in model"
PYTHON="$PWD/$VENV/bin/python" bash scripts/typecheck.sh >"$SCRATCH/types.txt" 2>&1 &
TYPES=$!
"$VENV/bin/m3compress" doctor
"$VENV/bin/m3compress" export builtin -o "$SCRATCH/silica.m3c.onnx"
"$VENV/bin/m3compress" inspect "$SCRATCH/silica.m3c.onnx"
wait "$TYPES" || { cat "$SCRATCH/types.txt" >&2; exit 1; }
cat "$SCRATCH/types.txt"

section "tests"
PATH="$PWD/$VENV/bin:$PATH" "$VENV/bin/pytest" -q -n "${M3COMPRESS_TEST_WORKERS:-2}" \
  --dist loadscope --no-loadscope-reorder --durations 40 --durations-min 5 "$@"

section "the release gate on the exported file"
"$VENV/bin/m3compress" validate "$SCRATCH/silica.m3c.onnx" --against builtin --profile smoke \
  --report-dir "$SCRATCH/report" --junit "$SCRATCH/junit.xml" --strict
[ -n "${M3COMPRESS_SCRATCH:-}" ] || rm -rf "$SCRATCH"

finish "all checks passed"
