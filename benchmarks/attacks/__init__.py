"""Exported files that are wrong in one way, and how they are made."""
