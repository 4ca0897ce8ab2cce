"""The front door: a package on pictures of one's own, from Python or from the command line."""
