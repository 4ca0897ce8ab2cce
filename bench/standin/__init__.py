"""Stand-ins of hardware: a board and power meters in software, for bench/ and tests/ alike."""
