"""The engine on a board: its files, its registers, its buffers, its lock."""
