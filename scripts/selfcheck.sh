#!/usr/bin/env bash
# The release gate on candidates whose verdict is known, in the environment that test.sh has made.
# They stand in for the exported file that test.sh left in M3COMPRESS_SCRATCH, or for a new one.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SCRATCH=${M3COMPRESS_SCRATCH:-$(mktemp -d)}
if [ ! -f "$SCRATCH/silica.m3c.onnx" ]; then
  section "export the built-in model"
  "$VENV/bin/m3compress" export builtin -o "$SCRATCH/silica.m3c.onnx"
fi

section "the gate on controls: the model itself must pass, broken ones must fail"
# In the workplace of the gate that test.sh ran: the same settings, so that the molecular dynamics of
# the reference, and what was found on it, are there already.
"$VENV/bin/m3compress" validate "$SCRATCH/silica.m3c.onnx" --against builtin --profile smoke \
  --selfcheck --report-dir "$SCRATCH/report/work"
[ -n "${M3COMPRESS_SCRATCH:-}" ] || rm -rf "$SCRATCH"

finish "the gate tells right from wrong"
