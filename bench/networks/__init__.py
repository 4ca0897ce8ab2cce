"""Programs of whole networks: their costs step by step, and an independent oracle."""
