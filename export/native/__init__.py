"""The target ``native``: a model with tables of its radial functions, for the C++ core."""
