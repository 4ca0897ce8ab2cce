"""The subset of C++ that an HLS compiler takes, read by libclang: python -m hls.lint.rules."""
