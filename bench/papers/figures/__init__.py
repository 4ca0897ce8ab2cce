"""Each table and figure of the papers, drawn from result rows, beside what they print (docs/figures.md)."""
