"""CONV's loop as RTL, held to the C++ cycle by cycle: python -m bitstreams.lockstep."""
