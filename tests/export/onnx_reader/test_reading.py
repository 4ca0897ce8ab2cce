"""Any network of the supported operators computes what ONNX Runtime computes, in float, in int8, on the engine."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.networks.onnx_writer import Writer, cifar_resnet, resnet8, resnet18, run_onnx, vgg
from export import graph
from export.compile.lower import lower
from export.float_network import FloatNetwork
from export.integers.calibrate import calibrate
from export.integers.integer import IntegerNetwork
from export.integers.quantize import quantize
from export.onnx_reader.reading import read
from hls import golden, isa
from hls.record import Start, decode
from tests.export.onnx_reader.onnx_graphs import random_graph

MEAN, STD = 0.5, 0.25


def images_of(writer, count, seed=0):
    """(count, H, W, C) uint8, and what the model is given for them."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *writer.size, writer.channels)).astype(np.uint8)
    return images, normalised(images, [MEAN], [STD])


def normalised(images, mean, std):
    """(N, C, H, W) float32."""
    mean, std = (np.array(values).reshape(-1, 1, 1) for values in (mean, std))
    return ((images.transpose(0, 3, 1, 2) / 255 - mean) / std).astype(np.float32)


def imported(writer, model=None):
    """The Imported of a Writer's model."""
    return read(model or writer.model(), (MEAN,) * writer.channels, (STD,) * writer.channels)


def quantised_of(found, images):
    """A Network8 calibrated on the images."""
    x = torch.from_numpy(normalised(images, found.mean, found.std))
    return quantize(found.network, calibrate(found.network, [x]), found.mean, found.std, "max")


def assert_float_agrees(writer, model=None):
    """The network read equals ONNX Runtime on the same model; it."""
    images, x = images_of(writer, 3)
    found = imported(writer, model)
    ours = FloatNetwork(found.network)(torch.from_numpy(normalised(images, found.mean, found.std))).logits[-1].numpy()
    expected = run_onnx(model or writer.model(), x)
    np.testing.assert_allclose(ours, expected, atol=1e-3 * max(np.abs(expected).max(), 1e-3))
    return found


def assert_engine_agrees(writer, run=golden.run, tile_words=isa.TILE_WORDS, most=0.1):
    """int8 within quantisation of ONNX Runtime's float, and bit for bit the same on the engine; the Compiled."""
    images, x = images_of(writer, 12)
    network8 = quantised_of(imported(writer), images)
    logits = IntegerNetwork(network8)(images).logits[-1].numpy()
    expected = run_onnx(writer.model(), x)
    error = np.sqrt(np.mean((logits * network8.steps["logits"] - expected) ** 2))
    assert error < most * max(expected.std(), 1e-6)
    compiled = lower(network8, tile_words)
    start = Start(compiled.gates, compiled.classes, map_words=compiled.map_words)
    results = decode(run(compiled.program, compiled.weights, compiled.tables, images[:2], start), start)
    np.testing.assert_array_equal(results.logits, logits[:2])
    return compiled


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_any_network_is_the_one_in_the_file(seed):
    assert_float_agrees(random_graph(seed))


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_any_networks_engine_is_near_onnx_runtime(seed):
    assert_engine_agrees(random_graph(seed), most=0.25)


@pytest.mark.cosim
@given(st.integers(0, 10**6), st.sampled_from([isa.TILE_WORDS, 180]))
@settings(max_examples=25, deadline=None)
def test_any_networks_program_is_right_in_little_memory(seed, tile_words):
    from functools import partial

    from hls import cosim

    assert_engine_agrees(random_graph(seed), partial(cosim.run, forget=0xA5), tile_words, most=0.25)


def head(writer, x, classes=5):
    """An end behind a map."""
    writer.gemm(writer.mean(x), classes)
    return writer


def tensorflow_stride(writer):
    return head(writer, writer.relu(writer.conv("image", 8, 3, 2, (0, 0, 1, 1))))


def even_kernels(writer):
    return head(writer, writer.conv(writer.conv("image", 6, 4, 2, (1, 1, 1, 1)), 6, 2, 1, (0, 0, 1, 1)))


def no_padding(writer):
    return head(writer, writer.conv(writer.relu(writer.conv("image", 6, 5, 1, (0, 0, 0, 0))), 8, 3, 2, (0, 0, 0, 0)))


def flat_kernels(writer):
    return head(writer, writer.conv(writer.conv("image", 8, (1, 7)), 8, (7, 1)))


def dilated(writer):
    return head(writer, writer.conv("image", 8, 3, dilation=3))


def stride_of_four(writer):
    return head(writer, writer.conv("image", 8, 5, 4, (2, 2, 2, 2)))


def norms_first(writer):
    x = writer.norm(writer.conv("image", 8, 3))
    y = writer.conv(writer.relu(writer.norm(x)), 8, 3)
    return head(writer, writer.relu(writer.norm(writer.add(y, x))))


def norm_of_the_image(writer):
    return head(writer, writer.conv(writer.norm("image"), 8, 3))


def norm_behind_a_sum_of_pools(writer):
    x = writer.relu(writer.conv("image", 8, 3))
    one, other = (writer.pool(x, kind, 2, 2) for kind in ("MaxPool", "AveragePool"))
    return head(writer, writer.norm(writer.add(one, other)))


def limits(writer):
    x = writer.clip(writer.conv("image", 8, 3), 0, 6)
    y = writer.clip(writer.conv(x, 8, 3), 0, 0.5)
    return head(writer, writer.clip(writer.add(writer.clip(writer.conv(y, 8, 3), -1, 1), x), 0, 6))


def joined_signs(writer):
    x = writer.conv("image", 6, 3)
    return head(writer, writer.conv(writer.concat(x, writer.relu(x), "image", x), 8, 1))


def dense_block(writer):
    parts = [writer.conv("image", 8, 3)]
    for _ in range(3):
        x = writer.concat(*parts) if len(parts) > 1 else parts[0]
        parts.append(writer.conv(writer.relu(writer.norm(x)), 5, 3))
    return head(writer, writer.norm(writer.concat(*parts)))


def joined_onto(writer):
    """A sum onto a map that also is a part of a concatenation read later."""
    x = writer.relu(writer.conv("image", 8, 3))
    whole = writer.concat(x, writer.relu(writer.conv(x, 4, 1)))
    y = writer.relu(writer.add(writer.conv(x, 8, 3), x))
    z = writer.relu(writer.add(writer.conv(whole, 12, 3), whole))
    return head(writer, writer.concat(y, whole, z))


def pool_of_tensorflow(writer):
    return head(writer, writer.pool(writer.relu(writer.conv("image", 8, 3)), "MaxPool", 3, 2, (0, 0, 1, 1)))


def rounded_up(writer):
    return head(writer, writer.pool(writer.relu(writer.conv("image", 8, 3)), "MaxPool", 3, 2, ceil_mode=1))


def padded_pool(writer):
    x = writer.pad(writer.relu(writer.conv("image", 8, 3)), 1, 1, 1, 1)
    return head(
        writer, writer.pool(writer.pool(x, "MaxPool", 3, 2), "AveragePool", 3, 1, (1,) * 4, count_include_pad=1)
    )


def padded_convolution(writer):
    return head(writer, writer.conv(writer.pad("image", 1, 0, 1, 1), 8, 3, 2, (0, 0, 0, 0)))


def more_padding(writer):
    return head(writer, writer.conv(writer.conv("image", 6, 3, 1, (0, 0, 0, 0)), 6, 3, 1, (2, 2, 2, 2)))


def coarse_averages(writer):
    return head(writer, writer.pool(writer.conv("image", 8, 3), "AveragePool", 4, 4))


def flat_pixels(writer):
    x = writer.pool(writer.conv("image", 9, 3), "MaxPool", 4, 4)
    writer.gemm(writer.relu(writer.gemm(writer.flatten(x), 20)), 5)
    return writer


def vector_norms(writer):
    v = writer.norm(writer.mean(writer.conv("image", 8, 3)))
    v = writer.norm(writer.relu(v))
    writer.node("Softmax", [writer.gemm(v, 5)], (5,), axis=-1)
    return writer


def no_linear_layer(writer):
    writer.mean(writer.relu(writer.conv(writer.relu(writer.conv("image", 8, 3)), 7, 1)))
    return writer


def groups_as_one(writer):
    return head(writer, writer.conv(writer.conv("image", 8, 3), 8, 3, group=4))


def padded_shortcut(writer):
    x = writer.relu(writer.conv("image", 8, 3))
    y = writer.conv(writer.relu(writer.conv(x, 12, 3, 2)), 12, 3)
    return head(writer, writer.relu(writer.add(y, writer.widen(writer.halve(x), 12))))


CASES = [
    *(
        tensorflow_stride,
        even_kernels,
        no_padding,
        flat_kernels,
        dilated,
        stride_of_four,
        norms_first,
        norm_of_the_image,
    ),
    *(norm_behind_a_sum_of_pools, limits, joined_signs, dense_block, joined_onto, pool_of_tensorflow, rounded_up),
    *(
        padded_pool,
        padded_convolution,
        more_padding,
        coarse_averages,
        flat_pixels,
        no_linear_layer,
        groups_as_one,
        padded_shortcut,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_networks_of_each_kind(case):
    writer = case(Writer())
    assert_float_agrees(writer)
    assert_engine_agrees(writer)


@pytest.mark.parametrize(
    "make", [resnet8, resnet18, vgg, lambda: cifar_resnet(14)], ids=["resnet8", "resnet18", "vgg", "resnet14"]
)
def test_networks_that_people_bring(make):
    writer, v = make()
    writer.gemm(v, 10)
    found = assert_float_agrees(writer)
    assert all(node.add is None or node.relu for node in found.network.nodes if isinstance(node, graph.Convolution))


def test_a_cifar_resnet_is_as_our_own():
    writer, v = cifar_resnet(8)
    writer.gemm(v, 10)
    kinds = [node.kind for node in imported(writer).network.nodes]
    assert kinds == [
        "image",
        *["convolution"] * 4,
        "pad",
        *["convolution"] * 1,
        "convolution",
        "pad",
        "convolution",
        "exit",
    ]


def test_a_softmax_at_the_end_is_left_to_the_engine():
    writer = vector_norms(Writer())
    network = imported(writer).network
    assert network.classes == 5 and isinstance(network.exits[-1].logits, graph.Linear)
    _, x = images_of(writer, 4)
    logits = FloatNetwork(network)(torch.from_numpy(x)).logits[-1]
    np.testing.assert_allclose(logits.softmax(1).numpy(), run_onnx(writer.model(), x), atol=1e-5)


def test_what_belongs_to_a_convolution_costs_nothing_of_its_own():
    writer = Writer()
    x = writer.relu(writer.norm(writer.conv("image", 8, 3)))
    x = writer.relu(writer.add(writer.norm(writer.conv(x, 8, 3)), x))
    nodes = imported(head(writer, x)).network.nodes
    assert [node.kind for node in nodes] == ["image", "convolution", "convolution", "exit"]
    assert nodes[2].add is nodes[1] and nodes[2].relu and not nodes[2].signed


def test_normalisation_in_the_file_becomes_the_images_own():
    writer = Writer()
    scaled = writer.node("Mul", ["image", writer.constant(np.float32(2))], writer.shapes["image"])
    shift = np.array([0.5, 1, 1.5], np.float32).reshape(1, 3, 1, 1)
    moved = writer.node("Sub", [scaled, writer.constant(shift)], writer.shapes["image"])
    found = assert_float_agrees(head(writer, writer.conv(moved, 4, 3)))
    np.testing.assert_allclose(found.std, [STD / 2] * 3)
    np.testing.assert_allclose(found.mean, [MEAN + STD / 2 * shift for shift in (0.5, 1, 1.5)])


def test_pixels_without_negative_values_take_all_256_codes():
    writer = head(Writer(), "image")
    found = read(writer.model(), (0, 0, 0), (1 / 255,) * 3)
    assert not found.network.image.signed
    images, _ = images_of(writer, 8)
    network8 = quantised_of(found, images)
    assert network8.steps["image"] == pytest.approx(1)
    seen = IntegerNetwork(network8, lambda node, values: maps.setdefault(node.kind, values))
    maps = {}
    seen(images)
    np.testing.assert_array_equal(maps["image"].numpy(), images.transpose(0, 3, 1, 2))


def test_channels_last_as_tensorflow_writes_them():
    writer = Writer(size=(8, 8))
    writer.shapes["image"] = (3, 8, 8)
    turned = writer.node("Transpose", ["image"], (3, 8, 8), perm=[0, 3, 1, 2])
    x = writer.pool(writer.relu(writer.conv(turned, 6, 3)), "MaxPool", 2, 2)
    back = writer.node("Transpose", [x], writer.shapes[x], perm=[0, 2, 3, 1])
    shape = writer.constant(np.array([-1, 96], np.int64))
    writer.gemm(writer.node("Reshape", [back, shape], (96,)), 4)
    model = writer.model()
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    for side in (1, 8, 8, 3):
        model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = side
    _, x = images_of(writer, 3)
    ours = FloatNetwork(imported(writer, model).network)(torch.from_numpy(x)).logits[-1].numpy()
    np.testing.assert_allclose(ours, run_onnx(model, x.transpose(0, 2, 3, 1)), atol=1e-4)


def test_shapes_computed_in_the_graph_are_constants():
    writer = Writer()
    x = writer.conv("image", 6, 3, 2)
    y = writer.node("GlobalAveragePool", [x], (6, 1, 1))
    shape = writer.node("Shape", [y], ())
    batch = writer.node("Gather", [shape, writer.constant(np.array([0], np.int64))], (), axis=0)
    whole = writer.node("Concat", [batch, writer.constant(np.array([-1], np.int64))], (), axis=0)
    writer.gemm(writer.node("Reshape", [y, whole], (6,)), 3)
    assert_float_agrees(writer)


@pytest.mark.parametrize("axes, pads, size", [([3], [1, 1], (16, 18)), ([-1, 2], [0, 1, 1, 0], (17, 17))])
def test_a_pad_of_some_sides(axes, pads, size):
    """Since opset 18 an operator may name the axes that it pads."""
    writer = Writer()
    x = writer.relu(writer.conv("image", 8, 3))
    inputs = [writer.constant(np.array(values, np.int64)) for values in (pads, axes)]
    x = writer.node("Pad", [x, inputs[0], "", inputs[1]], (8, *size))
    writer.gemm(writer.mean(writer.conv(x, 6, 3, 1, (0, 0, 0, 0))), 4)
    assert_float_agrees(writer, writer.model(opset=18))
