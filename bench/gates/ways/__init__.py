"""Ways to train gates, each a few phases behind the same trained backbone (bench/gates/trials.py)."""
