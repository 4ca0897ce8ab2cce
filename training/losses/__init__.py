"""Terms of a loss that papers give, one file a method; training/terms.py names them for recipes."""
