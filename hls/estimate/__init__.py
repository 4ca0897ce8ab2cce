"""What the engine takes of a chip, estimated from its sources: python -m bitstreams.resources."""
