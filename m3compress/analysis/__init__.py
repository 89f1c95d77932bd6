"""What trajectories and crystals show, and how certain it is; knows NumPy, SciPy and ASE alone."""
