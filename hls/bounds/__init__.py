"""Least II and least period of the engine's loops, from clang's IR of its sources: python -m bitstreams.bounds."""
