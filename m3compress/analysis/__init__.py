"""What trajectories and crystals show, and how certain it is; without torch."""
