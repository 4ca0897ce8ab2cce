"""Models, gates, exits, losses, data and the training loop: recipe → checkpoint."""
