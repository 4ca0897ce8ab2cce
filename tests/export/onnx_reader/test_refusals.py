"""What is not supported is refused by node, operator and the nearest that is; a hostile file in one line as well."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bench.networks.onnx_writer import FLOAT, Writer
from export.onnx_reader.module import arrays
from export.onnx_reader.reading import read
from hls.errors import UserError
from tests.export.onnx_reader.onnx_graphs import random_graph


def refusal(model, channels=3):
    """The one line that a model is refused with."""
    with pytest.raises(UserError) as raised:
        read(model, (0.5,) * channels, (0.25,) * channels)
    text = str(raised.value)
    assert "\n" not in text and text.isprintable() and len(text) < 600
    return text


def ended(writer, x):
    """A model that ends behind a map."""
    writer.gemm(writer.mean(x), 4)
    return writer.model()


def with_node(kind, **attributes):
    """A model with one more operator, on a map."""
    writer = Writer()
    x = writer.conv("image", 8, 3)
    return ended(writer, writer.node(kind, [x], writer.shapes[x], name="odd one", **attributes))


@pytest.mark.parametrize(
    "kind, nearest",
    [
        ("LeakyRelu", "Relu or Clip"),
        ("HardSwish", "Relu or Clip"),
        ("Sigmoid", "Relu or Clip"),
        ("Erf", "Conv, BatchNormalization"),
        ("LRN", "BatchNormalization"),
    ],
)
def test_an_operator_is_refused_by_name(kind, nearest):
    text = refusal(with_node(kind, **({"size": 3} if kind == "LRN" else {})))
    assert text.startswith(f"odd one ({kind}): the operator {kind} is not supported: the nearest that is: {nearest}")


def conv_of(*arguments, **options):
    writer = Writer(channels=options.pop("channels", 3), size=options.pop("size", (16, 16)))
    return ended(writer, writer.conv("image", *arguments, **options))


@pytest.mark.parametrize(
    "model, found, nearest",
    [
        (conv_of(16, 3, channels=16, group=16), "group 16", "group 1, or up to 4"),
        (conv_of(4, 9), "a kernel of 9 with padding 4, 4", "kernels of 1 to 7"),
        (conv_of(4, 3, dilation=4), "a kernel of 9", "kernels of 1 to 7, dilation counted"),
        (conv_of(4, 3, 3), "stride [3, 3]", "1, 2, 4 or 8"),
        (conv_of(4, 3, pads=[3, 3, 3, 3]), "padding 3, 3 of a kernel of 3", "padding that keeps the map's size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "model",
)
def test_a_convolution_is_refused_by_what_it_asks_for(model, found, nearest):
    text = refusal(model, model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
    assert text.startswith("conv0 (Conv): ") and found in text and nearest in text


@pytest.mark.parametrize(
    "attributes, found, nearest",
    [
        ({"kernel_shape": [2, 2, 2]}, "a window of [2, 2, 2] at stride [1, 1]", "two sides, no dilation"),
        ({"kernel_shape": [2, 2], "strides": [3]}, "a window of [2, 2] at stride [3]", "two sides"),
        ({"kernel_shape": [3, 3], "pads": [1, 1, -1, 0]}, "padding NOTSET [1, 1, -1, 0]", "four numbers of 0 or more"),
        ({"kernel_shape": [3, 3], "auto_pad": "ODD"}, "padding ODD [0, 0, 0, 0]", "four numbers of 0 or more"),
    ],
)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_a_pool_is_refused_by_what_it_asks_for(kind, attributes, found, nearest):
    text = refusal(with_node(kind, **attributes))
    assert text.startswith(f"odd one ({kind}): {found}") and nearest in text


def test_a_pool_with_dilation_is_refused():
    text = refusal(with_node("MaxPool", kernel_shape=[3, 3], dilations=[2, 2]))
    assert text.startswith("odd one (MaxPool): a window of [3, 3] at stride [1, 1]") and "no dilation" in text


def test_other_things_that_are_refused():
    writer = Writer()
    x = writer.conv("image", 8, 3)
    squeezed = writer.node("GlobalAveragePool", [x], (8, 1, 1))
    assert "Mul of two maps" in refusal(ended(writer, writer.node("Mul", [x, squeezed], writer.shapes[x])))
    writer = Writer()
    assert "limits -1 and 3" in refusal(ended(writer, writer.clip(writer.conv("image", 8, 3), -1, 3)))
    writer = Writer()
    odd = writer.pool(writer.conv("image", 8, 3), "MaxPool", 3, 2, (0, 0, 1, 1))
    assert "behind a Relu" in refusal(ended(writer, odd))
    writer = Writer()
    assert "left out" in refusal(ended(writer, writer.pool("image", "AveragePool", 3, 1, (1, 1, 1, 1))))
    writer = Writer()
    writer.gemm(writer.flatten(writer.conv("image", 8, 3)), 4)
    assert "8×16×16 as a vector" in refusal(writer.model())
    writer = Writer()
    writer.conv("image", 8, 3)
    assert "output is a map of 8×16×16" in refusal(writer.model())
    writer = Writer()
    x = writer.node("Softmax", [writer.mean("image")], (3,), axis=1)
    writer.gemm(x, 4)
    assert "a Softmax that is read again" in refusal(writer.model())
    writer = Writer()
    v = writer.clip(writer.gemm(writer.mean("image"), 8), 0, 6)
    writer.gemm(v, 4)
    assert "an upper limit of 6 on a vector" in refusal(writer.model())


def test_a_model_with_other_inputs_or_outputs():
    writer = Writer()
    model = ended(writer, "image")
    model.graph.input.append(helper.make_tensor_value_info("mask", FLOAT, (1, 3)))
    assert "2 inputs" in refusal(model)
    model = ended(Writer(), "image")
    model.graph.output.append(helper.make_tensor_value_info(model.graph.node[0].output[0], FLOAT, None))
    assert "2 outputs" in refusal(model)
    model = ended(Writer(), "image")
    model.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value")
    assert "export it with a fixed size" in refusal(model)
    assert "3 channels, the images 1" in refusal(ended(Writer(), "image"), channels=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value):
    writer = Writer()
    model = ended(writer, writer.conv("image", 4, 3))
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0, 0, 0] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, model.graph.initializer[0].name))
    assert "conv0 (Conv) has weights that are not finite" in refusal(model)


# ---------------------------------------------------------------------------------------------------------- hostile
def test_a_cycle():
    model = ended(Writer(), "image")
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]
    assert "a cycle, or nodes out of order" in refusal(model)
    model.graph.node[0].input[0] = "nobody"
    assert "which nothing makes" in refusal(model)


def test_a_function_that_calls_itself():
    model = ended(Writer(), "image")
    node = helper.make_node("Loop1", ["x"], ["y"], domain="own")
    opset = [helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", "Loop1", ["x"], ["y"], [node], opset))
    model.graph.node.append(helper.make_node("Loop1", ["image"], ["z"], domain="own"))
    assert "calls itself" in refusal(model)


def test_functions_that_multiply():
    """Each of 40 functions calls the next one twice."""
    model, opset = ended(Writer(), "image"), [helper.make_opsetid("own", 1)]
    for number in range(40):
        names = [("x", "a"), ("a", "y")]
        calls = [helper.make_node(f"f{number + 1}", [one], [other], domain="own") for one, other in names]
        model.functions.append(helper.make_function("own", f"f{number}", ["x"], ["y"], calls, opset))
    model.graph.node.append(helper.make_node("f0", ["image"], ["z"], domain="own"))
    assert "expected at most 4096" in refusal(model)


@pytest.mark.parametrize("side", [0, -5, 257, 2**40, 2**62])
def test_huge_images(side):
    model = ended(Writer(), "image")
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = side
    assert "export it with a fixed size" in refusal(model)


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile", "Range", "Add"])
def test_constants_that_would_fill_memory(kind):
    writer = Writer()
    many, one = writer.constant(np.array([2**20] * 3, np.int64)), writer.constant(np.ones((1, 1, 1), np.float32))
    rows, columns = (writer.constant(np.ones(shape, np.float32)) for shape in ((20000, 1), (1, 20000)))
    ends = [writer.constant(np.array(value, np.int64)) for value in (0, 2**60, 1)]
    inputs = {
        "ConstantOfShape": [many],
        "Expand": [one, many],
        "Tile": [one, many],
        "Range": ends,
        "Add": [rows, columns],
    }
    bomb = writer.node(kind, inputs[kind], (3, 16, 16), name="bomb")
    text = refusal(ended(writer, writer.node("Mul", ["image", bomb], (3, 16, 16))))
    assert text.startswith(f"bomb ({kind}) makes more than")


def test_weights_of_another_size_than_they_say():
    writer = Writer()
    model = ended(writer, writer.conv("image", 4, 3))
    model.graph.initializer[0].dims[0] = 2**40
    assert "cannot be read" in refusal(model)


def test_names_in_a_message_stay_on_one_line():
    model = with_node("Erf")
    model.graph.node[1].name = "evil\nname\x1b[31m" + "x" * 500
    assert "evil" in refusal(model)


def external(tmp_path, location, **entries):
    """A model whose weights lie in a file."""
    writer = Writer()
    model = ended(writer, writer.conv("image", 4, 3))
    tensor = model.graph.initializer[0]
    (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model_are_read(tmp_path):
    found = read(external(tmp_path, "weights.bin", offset=0, length=432), (0.5,) * 3, (0.25,) * 3)
    assert np.isfinite(found.network.nodes[1].weight).all() and found.network.nodes[1].weight.any()


@pytest.mark.parametrize(
    "location", ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "", "weights\0.bin", "a" * 5000]
)
def test_weights_outside_of_the_folder_are_not_read(location, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = external(folder, location)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 432)
    assert "outside the model's folder" in refusal(path) or "no usable place" in refusal(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = external(folder, "link.bin")
    (tmp_path / "secret.bin").write_bytes(b"\0" * 432)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    assert "outside the model's folder" in refusal(path)


@pytest.mark.parametrize(
    "entries", [{"offset": 8}, {"length": 100}, {"offset": -1}, {"offset": "x"}, {"length": 2**62}], ids=str
)
def test_weights_that_are_not_all_there(entries, tmp_path):
    text = refusal(external(tmp_path, "weights.bin", **entries))
    assert "has not as many there" in text or "no usable place" in text


def test_weights_whose_size_is_a_lie(tmp_path):
    path = external(tmp_path, "weights.bin")
    model = onnx.ModelProto.FromString(path.read_bytes())
    model.graph.initializer[0].dims[0] = 2**50
    path.write_bytes(model.SerializeToString())
    assert "has not as many there" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4 not this", b"\0" * 1000, b"\x08\x0a"], ids=["empty", "zip", "zeros", "bare"]
)
def test_files_that_are_no_model(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refusal(path)


def test_no_file(tmp_path):
    assert "no file" in refusal(tmp_path / "model.onnx")


@given(st.integers(0, 200), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_truncated_file_is_one_line(seed, at):
    data = random_graph(seed % 20).model().SerializeToString()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data[: at % len(data)])
        refusal(path)


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused(seed, changes):
    writer = random_graph(seed % 20)
    data = bytearray(writer.model().SerializeToString())
    for at, value in changes:
        data[at % len(data)] = value
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(bytes(data))
        try:
            read(path, (0.5,) * writer.channels, (0.25,) * writer.channels)
        except UserError as error:
            assert "\n" not in str(error)


def test_an_old_opset():
    model = ended(Writer(), "image")
    model.opset_import[0].version = 6
    assert "opset [6], expected one of 7 to 28" in refusal(model)


@pytest.mark.parametrize("std", [0.0, -1.0, np.nan, np.inf])
def test_a_spread_that_is_none(std, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"\0" * 432)
    with pytest.raises(UserError, match="those of std above 0"):
        read(external(tmp_path, "weights.bin", offset=0, length=432), (0.5,) * 3, (std,) * 3)


@pytest.mark.parametrize("data", [None, np.zeros((4, 8, 8, 1), np.uint8)])
def test_data_that_is_no_pair(data):
    with pytest.raises(UserError, match="expected a pair: images"):
        arrays(data)
