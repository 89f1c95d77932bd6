"""Molecular dynamics with any evaluator: runs that stop, resume and repeat exactly."""
