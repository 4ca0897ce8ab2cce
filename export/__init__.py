"""Checkpoint → package.npz and ONNX: fold, calibrate, quantise, lower."""
