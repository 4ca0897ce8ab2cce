"""A graph quantised by onnxruntime.quantization, in the QDQ format.

model = quantised(writer.model(), pixels, folder, per_channel=True, activations=QuantType.QUInt8)
"""

import logging

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class _Images(CalibrationDataReader):
    def __init__(self, images):
        self.left = [{"image": image[None]} for image in images]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantised(model, images, folder, per_channel=True, activations=QuantType.QUInt8, symmetric=False):
    """The QDQ ModelProto, calibrated on normalised (N, C, H, W) float32."""
    before, after = folder / "float.onnx", folder / "qdq.onnx"
    onnx.save(model, before)
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            before,
            after,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric},
        )
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(after)
