"""Small networks as hls4ml's other two front ends take them."""

from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

DOMAIN = "qonnx.custom_op.channels_last"


def keras_network():
    """A Keras model, weights by a seed; Keras's backend must be PyTorch."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(layers.MaxPooling2D(2)(x))
    x = layers.Concatenate()([x, layers.AveragePooling2D(2)(layers.MaxPooling2D(2)(y))])
    return keras.Model(image, layers.Dense(5, activation="softmax")(layers.Flatten()(x)))


def channels_last_onnx(seed=0):
    """(ModelProto, its outputs by PyTorch, inputs (N, C, H, W) float32): Conv, norm, pool, Flatten, MatMul and Add."""
    rng = np.random.default_rng(seed)

    def random(*shape):
        return rng.normal(0, 0.3, shape).astype(np.float32)

    weights = {"weight": random(4, 3, 3, 3), "bias": random(4), "product": random(64, 5), "sum": random(5)}
    weights |= {"scale": 1 + random(4), "shift": random(4), "mean": random(4), "variance": np.exp(random(4))}
    window: dict[str, Any] = {
        "strides": [1, 1],
        "kernel_shape": [3, 3],
        "pads": [1] * 4,
        "dilations": [1, 1],
        "group": 1,
    }
    pool: dict[str, Any] = {"strides": [2, 2], "kernel_shape": [2, 2], "pads": [0] * 4}
    nodes = [
        helper.make_node("Conv", ["image", "weight", "bias"], ["conv"], "conv", domain=DOMAIN, **window),
        helper.make_node(
            "BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["norm"], "norm", domain=DOMAIN
        ),
        helper.make_node("Relu", ["norm"], ["relu"], "relu"),
        helper.make_node("MaxPool", ["relu"], ["pool"], "pool", domain=DOMAIN, **pool),
        helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "product"], ["rows"], "rows"),
        helper.make_node("Add", ["rows", "sum"], ["logits"], "logits"),
    ]
    shapes: dict[str, tuple] = {"conv": (1, 8, 8, 4), "norm": (1, 8, 8, 4), "relu": (1, 8, 8, 4), "pool": (1, 4, 4, 4)}
    shapes |= {"flat": (1, 64), "rows": (1, 5)} | {name: value.shape for name, value in weights.items()}
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (shapes | {"image": (1, 8, 8, 3), "logits": (1, 5)}).items()
    }
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    known = [infos[name] for name in shapes]
    graph = helper.make_graph(nodes, "net", [infos["image"]], [infos["logits"]], constants, value_info=known)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    x = rng.random((6, 3, 8, 8)).astype(np.float32)
    return helper.make_model(graph, opset_imports=opsets), _by_torch(weights, x), x


def _by_torch(weights, x):
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    y = functional.conv2d(torch.from_numpy(x), w["weight"].permute(0, 3, 1, 2), w["bias"], padding=1)
    y = functional.batch_norm(y, w["mean"], w["variance"], w["scale"], w["shift"]).relu()
    y = functional.max_pool2d(y, 2).permute(0, 2, 3, 1).flatten(1)  # as it stands in the file
    return (y @ w["product"] + w["sum"]).numpy()
