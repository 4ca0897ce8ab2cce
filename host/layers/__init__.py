"""Where the time of an image goes, instruction by instruction: what ran, by its record; a table of it, and a trace."""
