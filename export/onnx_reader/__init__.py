"""Somebody's network from an ONNX file: read, simplified, written as our graph (docs/networks.md)."""
