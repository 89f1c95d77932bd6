"""Molecular-dynamics codes that exported files plug into."""
