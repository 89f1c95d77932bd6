"""A student's own molecular dynamics: where it goes, whether it is right there, what to learn."""
