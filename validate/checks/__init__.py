"""The checks, one module per tier."""
