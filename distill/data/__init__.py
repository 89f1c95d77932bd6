"""Which frames to learn from, their labels, and batches of them."""
