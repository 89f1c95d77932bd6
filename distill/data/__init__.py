"""Labelled frames as tensors."""
