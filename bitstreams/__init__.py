"""Boards: one data file each, and what is generated and built from it."""
