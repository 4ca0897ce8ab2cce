"""Many recipes trained as one: a grid of them, or a search, on one machine or many."""
