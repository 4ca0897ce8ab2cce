"""Energy of an image: measured, modelled, fitted."""
