"""Images: the official archives, checked, as numpy arrays."""
