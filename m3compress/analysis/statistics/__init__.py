"""What a difference is worth: block bootstrap, floors, drifts, power."""
