"""What might shorten training, each a small change of plain.toml (bench/gates/shortcuts.py)."""
