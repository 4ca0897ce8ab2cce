"""The check of a package: where it differs from the float network that it was made of, and from an engine."""
