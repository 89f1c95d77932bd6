"""The gate tested on itself: candidates whose verdict is known."""
