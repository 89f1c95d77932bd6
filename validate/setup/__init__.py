"""What a run of the gate is told, and what follows from it."""
