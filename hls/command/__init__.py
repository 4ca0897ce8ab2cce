"""What every command of the project shares: its options, its outputs, its end, its folders, the tools it starts."""
