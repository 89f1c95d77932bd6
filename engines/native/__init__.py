"""libm3c: the C++ core that evaluates an M3GNet on the CPU, how it is built and loaded."""
