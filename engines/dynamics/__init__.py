"""Molecular dynamics of the gate: runs that stop, resume and repeat exactly."""
