"""The engine under random and mutated programs, sanitizers and counters: python -m hls.stress.fuzz."""
