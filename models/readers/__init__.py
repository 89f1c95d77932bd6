"""Checkpoint readers: one module per file format, one way in (:func:`m3compress.models.readers.open.read_model`)."""
