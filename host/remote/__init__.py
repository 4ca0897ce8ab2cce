"""Boards elsewhere: the laptop's side, the board's side, and what both share."""
