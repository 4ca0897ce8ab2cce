"""A node is held against its operator's definition, and the image against its type, before either is believed."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from bench.networks.onnx_writer import Writer
from export.onnx_reader.reading import read
from hls.errors import UserError
from tests.export.onnx_reader.test_refusals import ended, refusal


def changed(kind, change):
    """A model with a Conv, a Cast, a pool and a Concat; `change` is done to the node of a kind."""
    writer = Writer()
    x = writer.relu(writer.conv("image", 8, 3))
    x = writer.node("Cast", [writer.pool(x, "MaxPool", 2, 2)], (8, 8, 8), to=TensorProto.FLOAT)
    model = ended(writer, writer.concat(x, x))
    change(next(node for node in model.graph.node if node.op_type == kind))
    return model


def without(name):
    return lambda node: node.attribute.remove(next(item for item in node.attribute if item.name == name))


@pytest.mark.parametrize(("kind", "name"), [("MaxPool", "kernel_shape"), ("Cast", "to"), ("Concat", "axis")])
def test_an_attribute_that_an_operator_needs(kind, name):
    text = refusal(changed(kind, without(name)))
    assert f"({kind}) has no {name}, which it needs: export it again" in text


def test_what_a_definition_does_not_know():
    odd = helper.make_attribute("colour", 3)
    assert "has an odd attribute colour, expected of axis" in refusal(
        changed("Concat", lambda n: n.attribute.append(odd))
    )

    def retyped(node):
        without("kernel_shape")(node)
        node.attribute.append(helper.make_attribute("kernel_shape", 2))

    assert "has an odd attribute kernel_shape" in refusal(changed("MaxPool", retyped))
    assert "has 2 inputs, expected 1 to 1" in refusal(changed("MaxPool", lambda node: node.input.append("image")))
    model = changed("MaxPool", lambda node: None)
    model.opset_import[0].version, model.graph.node[1].op_type = 9, "QuantizeLinear"
    assert "(QuantizeLinear): opset 9 has no such operator" in refusal(model)


def with_input(kind, cast=True):
    """A model whose image has another type; ONNX Runtime would take it with the Cast."""
    writer = Writer()
    x = writer.node("Cast", ["image"], (3, 16, 16), to=TensorProto.FLOAT) if cast else "image"
    model = ended(writer, writer.conv(x, 8, 3))
    model.graph.input[0].type.tensor_type.elem_type = kind
    return model


@pytest.mark.parametrize("kind", ["STRING", "BOOL", "COMPLEX64", "UNDEFINED", "FLOAT8E4M3FN", "UINT4"])
def test_an_image_that_is_no_numbers(kind):
    assert f"the input image is {kind}, expected numbers" in refusal(with_input(getattr(TensorProto, kind)))


def test_an_image_of_unknown_types():
    assert "the input image is type 99, expected numbers" in refusal(with_input(99))
    model = with_input(TensorProto.FLOAT)
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    assert "the input image is no tensor, expected numbers" in refusal(model)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"])
def test_an_image_in_floating_point(kind):
    assert read(with_input(getattr(TensorProto, kind)), (0.5,) * 3, (0.25,) * 3).network.classes == 4


def test_an_image_of_whole_numbers_gets_whole_numbers():
    byte = with_input(TensorProto.UINT8)
    assert read(byte, (0,) * 3, (1 / 255,) * 3).std == (1 / 255,) * 3
    read(byte, (0,) * 3, (0.00392157,) * 3)
    read(with_input(TensorProto.INT8), (128 / 255,) * 3, (1 / 255,) * 3)
    assert "from 0 to 255" in refusal(byte)
    for model, mean, std, found in [
        (byte, 0.5, 0.25, "-2 to 2, not all of them whole"),
        (byte, 0, 1 / 510, "0 to 510: give --mean 0 and --std 0.00392157"),
        (with_input(TensorProto.INT8), 0, 1 / 255, "0 to 255: give"),
        (with_input(TensorProto.INT64), 0, 1 / 100, "not all of them whole"),
    ]:
        with pytest.raises(UserError) as error:
            read(model, (mean,) * 3, (std,) * 3)
        assert found in str(error.value)


def test_whole_numbers_without_a_cast_are_refused_by_the_operator_that_reads_them():
    text = refusal_of(with_input(TensorProto.UINT8, cast=False))
    assert "conv0 (Conv): an input of whole numbers is not supported: the nearest that is: a Cast" in text


def refusal_of(model):
    with pytest.raises(UserError) as error:
        read(model, (0,) * 3, np.full(3, 1 / 255))
    return str(error.value)
