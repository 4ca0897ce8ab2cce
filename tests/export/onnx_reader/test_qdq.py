"""A file that is quantised keeps its codes: weights bit for bit, steps of maps as it has them."""

import numpy as np
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType

from bench.networks.onnx_writer import Writer, run_onnx
from bench.networks.quantised_onnx import quantised
from export import graph
from export.integers.integer import IntegerNetwork
from export.onnx_reader.constants import Constants
from tests.export.onnx_reader.test_reading import images_of, imported, quantised_of


def residual(seed=0):
    """A small ResNet, its convolutions with biases."""
    writer = Writer(seed=seed)
    x = writer.relu(writer.conv("image", 8, 3))
    x = writer.relu(writer.add(writer.conv(writer.relu(writer.conv(x, 8, 3)), 8, 3), x))
    y = writer.conv(writer.relu(writer.conv(writer.pool(x, "MaxPool", 2, 2), 12, 3, 2)), 12, 3)
    writer.gemm(writer.mean(writer.relu(writer.add(y, writer.conv(x, 12, 1, 4, (0,) * 4)))), 6)
    return writer


SETTINGS = [
    (True, QuantType.QUInt8, False),
    (False, QuantType.QUInt8, False),
    (True, QuantType.QInt8, False),
    (True, QuantType.QInt8, True),
]


@pytest.mark.parametrize("per_channel, activations, symmetric", SETTINGS, ids=str)
def test_codes_are_kept(per_channel, activations, symmetric, tmp_path):
    writer = residual()
    images, x = images_of(writer, 24)
    model = quantised(writer.model(), x, tmp_path, per_channel, activations, symmetric)
    found = imported(writer, model)
    network8 = quantised_of(found, images)
    stored = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    codes = [value for value in stored if value.dtype == np.int8]
    convolutions = [node for node in found.network.nodes if isinstance(node, graph.Convolution)]
    layers = [*convolutions, *(node for node in found.network.exits[-1].body if isinstance(node, graph.Linear))]
    assert len(layers) == 7
    for node in layers:
        weight = network8.numbers[node].weight
        shape = weight.shape
        assert any(value.shape == shape and np.array_equal(value, weight) for value in codes), node
    steps = {value.item() for value in stored if value.dtype == np.float32 and value.size == 1}
    kept = [node for node in convolutions if not node.signed]
    assert kept and all(any(np.isclose(network8.steps[node.name], step) for step in steps) for node in kept)


@pytest.mark.parametrize("per_channel, activations, symmetric", SETTINGS, ids=str)
def test_int8_is_near_onnx_runtime_on_the_same_file(per_channel, activations, symmetric, tmp_path):
    writer = residual(1)
    images, x = images_of(writer, 24)
    model = quantised(writer.model(), x, tmp_path, per_channel, activations, symmetric)
    network8 = quantised_of(imported(writer, model), images)
    ours = IntegerNetwork(network8)(images).logits[-1].numpy() * network8.steps["logits"]
    expected = run_onnx(model, x)
    assert np.sqrt(np.mean((ours - expected) ** 2)) < 0.05 * expected.std()


def test_a_code_of_0_as_the_lowest_is_a_relu(tmp_path):
    writer = Writer()
    x = writer.conv("image", 6, 3)
    scale, zero = writer.constant(np.float32(0.02)), writer.constant(np.uint8(0))
    codes = writer.node("QuantizeLinear", [x, scale, zero], writer.shapes[x])
    y = writer.node("DequantizeLinear", [codes, scale, zero], writer.shapes[x])
    writer.gemm(writer.mean(y), 4)
    convolution = imported(writer).network.nodes[1]
    assert convolution.relu and convolution.step == pytest.approx(0.02)


def test_a_zero_point_of_weights_is_taken_off():
    values = {
        "codes": np.array([[0, 128, 255], [1, 2, 3]], np.uint8),
        "scale": np.array([0.5, 2], np.float32),
        "zero": np.array([128, 2], np.uint8),
    }
    node = helper.make_node("DequantizeLinear", [*values], ["weight"], axis=0)
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    constants = Constants(helper.make_model(helper.make_graph([node], "codes", [], [], tensors)))
    assert constants.fold(node)
    assert constants.values["weight"].tolist() == [[-64, 0, 63.5], [-2, 0, 2]]
