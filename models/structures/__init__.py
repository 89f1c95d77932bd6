"""Structures made from code, and those that users bring."""
