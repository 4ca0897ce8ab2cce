"""What people meet first: what the main command prints, the way with own pictures, the page; and whether rows hold."""
