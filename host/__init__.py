"""The host: reads a package, runs images under a budget, and reports; on a board with numpy alone."""
