"""Exits for one class of a frozen network (Bonato and Bouganis 2021): where they stand, what they learn, their choice."""
