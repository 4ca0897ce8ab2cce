"""Exits for one class of a frozen network (Bonato and Bouganis 2021): places, learning, choice."""
