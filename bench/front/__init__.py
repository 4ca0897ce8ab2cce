"""What a newcomer meets first: what the main command prints, the way with own pictures, the page."""
