"""Engines of other sizes: what they take, how fast they would be."""
