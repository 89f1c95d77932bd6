"""The model that comes with the package: weights in matgl format, card, and how it was trained."""
