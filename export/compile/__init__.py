"""From a quantised network to instructions and their placement."""
