"""Training of a network on labelled frames."""
