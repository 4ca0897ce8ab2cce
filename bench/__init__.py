"""Benchmarks: they write result rows, and every figure in a document is made from a row."""
