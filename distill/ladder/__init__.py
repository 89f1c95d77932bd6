"""Several students of one teacher, trained on the same labels and compared."""
