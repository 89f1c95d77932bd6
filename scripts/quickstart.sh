#!/usr/bin/env bash
# Set up, make a fast file of the built-in model (silica.m3c.onnx), and run a crystal with it.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ARTEFACT=silica.m3c.onnx

install compress -e ".[compress]"

section "export the built-in model"
"$VENV/bin/m3compress" export builtin -o "$ARTEFACT" --force

section "relax a crystal and run molecular dynamics with the exported file"
"$VENV/bin/python" examples/relax_and_nve.py "$ARTEFACT" --steps 200

finish "done: $ARTEFACT"
echo "next: $VENV/bin/m3compress bench $ARTEFACT --against builtin"
