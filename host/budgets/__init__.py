"""Budgets, and the plans that set them."""
