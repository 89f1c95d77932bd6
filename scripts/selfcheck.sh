#!/usr/bin/env bash
# The release gate on candidates whose verdict is known, in the environment that test.sh has made.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

section "export the built-in model"
SCRATCH=$(mktemp -d)
"$VENV/bin/m3compress" export builtin -o "$SCRATCH/silica.m3c.onnx"

section "the gate on controls: the model itself must pass, broken ones must fail"
"$VENV/bin/m3compress" validate "$SCRATCH/silica.m3c.onnx" --against builtin --profile smoke \
  --selfcheck --report-dir "$SCRATCH/selfcheck"
rm -rf "$SCRATCH"

finish "the gate tells right from wrong"
