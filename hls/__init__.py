"""The engine and its contract: instruction set, golden model, cost model, C++ source, co-simulation."""
