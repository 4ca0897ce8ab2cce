"""Each table and figure of the papers, drawn from result rows, and what the papers print beside it (docs/figures.md)."""
