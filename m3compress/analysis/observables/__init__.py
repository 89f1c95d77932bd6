"""What is computed from trajectories: distributions, spectra, displacements."""
