"""Checkpoint readers: one module per file format, and one way in, ``readers/open.py``."""
