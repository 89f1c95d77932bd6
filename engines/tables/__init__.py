"""Neighbour tables of moving structures."""
