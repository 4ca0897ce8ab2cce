"""hls4ml's graph of layers as an ONNX model, which export/onnx_reader reads as any other.

    proto = onnx_of(model)      # of a ModelGraph whose flow ddi:convert has been applied

That flow leaves one form whatever the front end was: maps are (height, width, channels), weights (height, width, in,
out) and (in, out), constants are parts of what they scale. Here every map is ONNX's (1, channels, height, width). A
`Value` remembers in which order hls4ml has its axes, for that is the order in which a Reshape makes a vector of it.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from export.onnx_graph import IR_VERSION, OPSET
from export.onnx_reader.steps import printable, unsupported
from hls.errors import UserError

FIRST, LAST = "channels first", "channels last"
TURNS = {((1, 2, 0), FIRST): LAST, ((2, 0, 1), LAST): FIRST}  # a Transpose of a map: what it makes of which
MERGES = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "maximum": "Max", "minimum": "Min", "average": "Mean"}
SUPPORTED = (
    "Conv2D, Dense, BatchNormalization, ReLU, Add, Concatenate, MaxPooling2D, AveragePooling2D, GlobalPooling2D, "
    "ZeroPadding2D, Flatten, Softmax at the end"
)


def onnx_of(model):
    """The ModelProto of a ModelGraph. Raises UserError naming the layer that the engine has no place for."""
    return _Translator(model).run()


def channels_of(model):
    """(where the channels stand in what `predict` takes, (channels, height, width) of the input). Raises UserError."""
    if len(model.inputs) != 1:
        raise UserError(f"the model has {len(model.inputs)} inputs, expected one, the image")
    source = model.graph[model.inputs[0]]
    shape = [int(side) for side in source.get_output_variable().shape]
    if len(shape) != 3:
        raise unsupported(_label(source), f"an input of shape {shape}", "an image, (channels, height, width)")
    readers = source.get_output_nodes()
    turned = readers and all(reader.class_name == "Transpose" for reader in readers)
    order = FIRST if turned else LAST
    return order, tuple(shape) if order == FIRST else (shape[2], *shape[:2])


@dataclass(frozen=True)
class Value:
    """A value of the ONNX graph; `order` of a map's axes in hls4ml, None of a vector."""

    name: str
    order: str | None = None


class _Translator:
    """One method a class of layers; each gives the Value of the layer's output."""

    def __init__(self, model):
        self.model, self.nodes, self.constants, self.values = model, [], [], {}

    def run(self):
        """The ModelProto."""
        if len(self.model.outputs) != 1:
            raise UserError(f"the model has {len(self.model.outputs)} outputs, expected one, the logits")
        _, shape = channels_of(self.model)
        for layer in self.model.get_layers():
            method = getattr(self, f"_{layer.class_name.lower()}", None)
            if method is None:
                raise unsupported(_label(layer), f"the layer {layer.class_name}", SUPPORTED)
            self.values[layer.outputs[0]] = method(layer)
        outputs = [helper.make_tensor_value_info(self.values[self.model.outputs[0]].name, TensorProto.FLOAT, None)]
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, *shape))]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    # ---------------------------------------------------------------------------------------------------- helpers
    def _x(self, layer, index=0):
        return self.values[layer.inputs[index]]

    def _map(self, layer):
        """The Value of a layer's input, a map."""
        x = self._x(layer)
        if x.order != LAST or layer.get_attr("data_format", "channels_last") != "channels_last":
            found = "a vector" if x.order is None else "a map with its channels first"
            nearest = "a map, its channels last (config_from_pytorch_model's channels_last_conversion)"
            raise unsupported(_label(layer), found, nearest)
        return x

    def _constant(self, layer, part, data):
        name = f"{layer.name}.{part}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(data, np.float32), name))
        return name

    def _apply(self, layer, operator, *inputs, order=None, suffix="", **attributes):
        name = f"{layer.name}{suffix}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return Value(name, order)

    # ----------------------------------------------------------------------------------------------------- layers
    def _input(self, layer):
        return Value("image", channels_of(self.model)[0])

    def _conv2d(self, layer):
        x = self._map(layer)
        weight = layer.get_weights("weight").data.transpose(3, 2, 0, 1)
        names = [self._constant(layer, "weight", weight)]
        bias = layer.get_weights("bias").data
        names += [self._constant(layer, "bias", bias)] if layer.get_attr("bias_data") is not None else []
        dilation = layer.get_attr("dilation", 1)
        dilations = [layer.get_attr(f"dilation_{side}", dilation) for side in ("height", "width")]
        return self._apply(layer, "Conv", x.name, *names, order=LAST, kernel_shape=weight.shape[2:],
                           dilations=dilations, **_window(layer))  # fmt: skip

    def _dense(self, layer):
        weight, bias = (layer.get_weights(part).data for part in ("weight", "bias"))
        if self._x(layer).order is not None or weight.ndim != 2:
            raise unsupported(_label(layer), "a Dense on a map", "a Flatten before it")
        names = self._constant(layer, "weight", weight), self._constant(layer, "bias", np.ravel(bias))
        return self._apply(layer, "Gemm", self._x(layer).name, *names)

    def _batchnormalization(self, layer):
        x, statistics = self._x(layer), ("gamma_data", "beta_data", "mean_data", "variance_data")
        if all(layer.get_attr(part) is not None for part in statistics):
            count = len(layer.get_attr("mean_data"))
            parts = [np.broadcast_to(layer.get_attr(part), count) for part in statistics]
            names = [self._constant(layer, part, data) for part, data in zip(statistics, parts)]
            return self._apply(
                layer, "BatchNormalization", x.name, *names, order=x.order, epsilon=layer.get_attr("epsilon")
            )
        scale, bias = (np.ravel(layer.get_weights(part).data) for part in ("scale", "bias"))
        shape = (-1, 1, 1) if x.order else (-1,)
        scale, bias = (self._constant(layer, part, data.reshape(shape)) for part, data in zip("sb", (scale, bias)))
        product = self._apply(layer, "Mul", x.name, scale, suffix=".scaled")
        return self._apply(layer, "Add", product.name, bias, order=x.order)

    _applyalpha = _batchnormalization

    def _activation(self, layer):
        x, kind = self._x(layer), layer.get_attr("activation").lower()
        if kind == "relu6":
            limits = (self._constant(layer, part, np.float32(value)) for part, value in (("low", 0), ("high", 6)))
            return self._apply(layer, "Clip", x.name, *limits, order=x.order)
        operator = {"relu": "Relu", "linear": "Identity", "softmax": "Softmax"}.get(kind)
        if operator is None:
            raise unsupported(_label(layer), f"the activation {printable(kind)}", "relu, relu6, linear")
        return self._apply(layer, operator, x.name, order=x.order)

    _softmax = _activation

    def _parametrizedactivation(self, layer):
        """hls4ml has a Keras ReLU as one with a threshold of 0."""
        kind, number = layer.get_attr("activation").lower(), layer.get_attr("activ_param")
        if kind.replace("_", "") != "thresholdedrelu" or number != 0:
            raise unsupported(_label(layer), f"the activation {printable(kind)} {number}", "relu, relu6, linear")
        return self._apply(layer, "Relu", self._x(layer).name, order=self._x(layer).order)

    def _merge(self, layer):
        operator, inputs = MERGES.get(layer.get_attr("op")), [self._x(layer, index) for index in (0, 1)]
        if operator is None:
            raise unsupported(_label(layer), f"two maps by {printable(layer.get_attr('op'))}", "their sum")
        return self._apply(layer, operator, *(x.name for x in inputs), order=self._one_order(layer, inputs))

    def _concatenate(self, layer):
        inputs = [self._x(layer, index) for index in (0, 1)]
        order, axis = self._one_order(layer, inputs), layer.get_attr("axis")
        channels = {LAST: (3, -1), FIRST: (1, -3), None: (1, -1)}[order]
        if axis not in channels:
            raise unsupported(_label(layer), f"a concatenation along axis {axis}", "one along the channels")
        return self._apply(layer, "Concat", *(x.name for x in inputs), order=order, axis=1)

    def _one_order(self, layer, inputs):
        orders = {x.order for x in inputs}
        if len(orders) != 1:
            raise unsupported(_label(layer), "two maps whose channels stand in different places", "both alike")
        return orders.pop()

    def _pooling2d(self, layer):
        x, kernel = self._map(layer), [layer.get_attr("pool_height"), layer.get_attr("pool_width")]
        fields = {"order": LAST, "kernel_shape": kernel, **_window(layer)}
        if layer.get_attr("pool_op") == "Max":
            return self._apply(layer, "MaxPool", x.name, **fields)
        counted = int(layer.get_attr("count_pad", False))
        return self._apply(layer, "AveragePool", x.name, **fields, count_include_pad=counted)

    def _globalpooling2d(self, layer):
        operator = "GlobalMaxPool" if layer.get_attr("pool_op") == "Max" else "GlobalAveragePool"
        pooled = self._apply(layer, operator, self._map(layer).name, suffix=".pooled")
        return self._apply(layer, "Flatten", pooled.name)

    def _zeropadding2d(self, layer):
        top, left, bottom, right = _window(layer, strided=False)["pads"]
        pads = numpy_helper.from_array(np.array([0, 0, top, left, 0, 0, bottom, right]), f"{layer.name}.pads")
        self.constants.append(pads)
        return self._apply(layer, "Pad", self._map(layer).name, pads.name, order=LAST)

    def _transpose(self, layer):
        x, turn = self._x(layer), tuple(layer.get_attr("perm"))
        if turn == tuple(range(len(turn))):
            return x
        if (turn, x.order) not in TURNS:
            raise unsupported(_label(layer), f"a turn {turn} of a map", "channels first to last, and back")
        return Value(x.name, TURNS[turn, x.order])

    def _reshape(self, layer):
        x, shape = self._x(layer), list(layer.get_output_variable().shape)
        if len(shape) != 1:
            raise unsupported(_label(layer), f"a Reshape to {shape}", "a Flatten")
        if x.order is None:
            return x
        name = x.name
        if x.order == LAST:
            name = self._apply(layer, "Transpose", name, suffix=".turned", perm=[0, 2, 3, 1]).name
        return self._apply(layer, "Flatten", name)


def _window(layer, strided=True):
    pads = [layer.get_attr(f"pad_{side}") for side in ("top", "left", "bottom", "right")]
    strides = {"strides": [layer.get_attr(f"stride_{side}") for side in ("height", "width")]} if strided else {}
    return {"pads": pads, **strides}


def _label(layer):
    return f"{printable(layer.name)} ({layer.class_name})"
