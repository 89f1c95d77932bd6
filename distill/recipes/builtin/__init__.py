"""How the built-in silica model was made: frames, settings, training, figures of its card."""
