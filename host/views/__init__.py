"""What a run found: for programs, as text, as pictures."""
