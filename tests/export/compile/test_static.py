"""A program read back as layers computes what the engine does with every gate open, integer for integer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from bench.networks.onnx_writer import Writer
from export.build import Source, build
from export.compile.static import opened, static
from export.integers.calibrate import calibrate
from export.integers.quantize import quantize
from export.onnx_reader.reading import read
from hls import golden, isa
from hls.errors import UserError
from hls.golden import requantize
from hls.golden.maps import requantize_sums
from hls.program import encode
from hls.record import decode
from tests.export.random_networks import VARIANTS, Case, quantised, random_images


def values_of(network, codes):
    """The logits (N, classes) of a Static on codes (N, C, H, W), layer by layer, in int64."""
    values = {network.image: codes.astype(np.int64)}
    for layer in network.layers[1:]:
        x = [values[source] for source in layer.inputs]
        y = {
            "conv": conv,
            "max": maxima,
            "pool": pool,
            "dense": dense,
            "concat": joined,
            "select": some,
            "view": framed,
        }[layer.kind](layer, *x)
        low, high = (-(2 ** (layer.bits - 1)), 2 ** (layer.bits - 1) - 1) if layer.signed else (0, 2**layer.bits - 1)
        values[layer] = np.clip(y, low, high)
    return values[network.logits]


def conv(layer, x, added=None):
    x = np.pad(x, ((0, 0), (0, 0), *((layer.padding, layer.padding),) * 2))
    arrays = [torch.from_numpy(np.asarray(values, np.float64)) for values in (x, layer.weight, layer.bias)]
    sums = functional.conv2d(*arrays, stride=layer.stride).numpy().astype(np.int64)
    y = requantize_sums(sums, layer.words[:, None, None])
    return y if added is None else y + requantize(added, layer.add_word)


def maxima(layer, x):
    x = functional.pad(torch.from_numpy(x.astype(np.float64)), (layer.padding,) * 4, value=-1e9)
    return functional.max_pool2d(x, layer.kernel, layer.stride).numpy().astype(np.int64)


def pool(layer, x):
    return requantize(x.sum((2, 3)), layer.words)


def dense(layer, x):
    sums = x.reshape(len(x), -1) @ layer.weight.reshape(layer.channels, -1).T + layer.bias
    return sums if layer.words is None else requantize(sums, layer.words)


def joined(layer, *x):
    return np.concatenate(x, 1)


def some(layer, x):
    return x[:, layer.first : layer.first + layer.channels]


def framed(layer, x):
    """Cut off, or with zeros, at the bottom and the right."""
    whole = np.zeros((*x.shape[:2], *layer.size), np.int64)
    height, width = (min(pair) for pair in zip(layer.size, x.shape[2:]))
    whole[:, :, :height, :width] = x[:, :, :height, :width]
    return whole


def check(package, images):
    """Both ways, on images."""
    network, start = static(package), package.start()
    table = network.table if network.image.signed else network.table.view(np.uint8)
    codes = np.stack([table[channel][images[..., channel]] for channel in range(len(table))], 1)
    records = golden.run(opened(package.program), package.weights, package.tables, images, start)
    results = decode(records, start)
    assert (results.exit == len(package.exits) - 1).all() and len(np.unique(results.logits)) > 2
    np.testing.assert_array_equal(values_of(network, codes), results.logits)
    return network


@pytest.mark.parametrize("name", ["plain", "papers", "pooled", "pooled, small and grey", "hidden alone", "mixed"])
def test_networks_with_gates_and_exits(name):
    case = VARIANTS[name]
    source = Source("net", "cifar10", case.mean, case.std, tuple(map(str, range(case.classes))), {})
    package = build(quantised(case, random_images(case, 4)), source, {})
    network = check(package, random_images(case, 2, 1))
    assert {layer.kind for layer in network.layers} <= {"image", "conv", "pool", "dense"}  # nothing of gates or exits


def packed(writer):
    """(package, images) of a Writer's network."""
    found = read(writer.model(batch=1), (0.5,) * 3, (0.25,) * 3, "net")
    images = np.random.default_rng(1).integers(0, 256, (6, *writer.size, 3)).astype(np.uint8)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    network8 = quantize(found.network, calibrate(found.network, [x]), found.mean, found.std)
    classes = tuple(map(str, range(found.network.classes)))
    return build(network8, Source("net", "own", found.mean, found.std, classes, {}), {}), images


def test_a_flatten_is_one_layer_again():
    """Many sums of rectangles and their differences are a dense layer on the map."""
    writer = Writer()
    x = writer.pool(writer.relu(writer.conv("image", 6, 3)), "MaxPool", 3, 2, (1, 1, 1, 1))
    writer.gemm(writer.relu(writer.gemm(writer.flatten(writer.relu(writer.conv(x, 5, 3, 2))), 12)), 4)
    network = check(*packed(writer))
    assert [layer.kind for layer in network.layers] == ["image", "conv", "max", "conv", "dense", "dense"]
    assert network.layers[-2].weight.shape == (12, 5, 4, 4)


def test_concatenations_averages_and_parts():
    writer = Writer(seed=2)
    one = writer.relu(writer.conv("image", 6, 3))
    both = writer.concat(one, writer.relu(writer.conv(one, 7, 3)))
    x = writer.relu(writer.norm(writer.pool(both, "AveragePool", 2, 2)))
    writer.gemm(writer.mean(writer.conv(x, 9, 1)), 5)
    network = check(*packed(writer))
    assert "concat" in {layer.kind for layer in network.layers}


def test_a_network_that_does_not_fit_the_chip_is_refused():
    case = Case((1,), size=(160, 160))
    source = Source("net", "cifar10", case.mean, case.std, tuple(map(str, range(10))), {})
    package = build(quantised(case, random_images(case, 1)), source, {})
    with pytest.raises(UserError, match=r"instruction \d+ moves a map, as of a network that does not fit the chip"):
        static(package)


def test_a_program_without_an_exit_of_its_own_is_refused():
    package, _ = packed(tiny())
    program = package.program.copy()
    program[-1] = encode(isa.END)
    with pytest.raises(UserError, match="the program has no exit of its own"):
        static(replace(package, program=program))


def tiny():
    writer = Writer(size=(8, 8))
    writer.gemm(writer.mean(writer.relu(writer.conv("image", 4, 3))), 3)
    return writer
