"""What open tools make of the engine: python -m bench rtl, python -m bench lockstep."""
