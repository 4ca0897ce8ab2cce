"""Checkpoint, ONNX file or PyTorch module → package.npz and ONNX: fold, calibrate, quantise, lower.

package = export.from_module(model, example, data, mean, std)      # export/onnx_reader/module.py
"""


def __getattr__(name):
    """`from_module`, found when it is asked for: the compiler alone needs no torch."""
    if name == "from_module":
        from export.onnx_reader.module import from_module

        return from_module
    raise AttributeError(f"module 'export' has no attribute {name!r}")
