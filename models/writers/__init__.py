"""Potentials written in the formats of other codes."""
