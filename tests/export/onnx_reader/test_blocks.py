"""A file's network in parts that a recipe can hold: the same network again, bit for bit, with places for gates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from bench.networks.onnx_writer import Writer, cifar_resnet, resnet8, resnet18, vgg
from export import graph
from export.compile.lower import lower
from export.float_network import FloatNetwork
from export.fold import fold
from export.onnx_reader import blocks
from export.onnx_reader.module import to_onnx
from export.onnx_reader.reading import read
from export.packing import Parts, in_integers
from hls import golden
from hls.errors import UserError
from tests.export.integers.test_integer import compare_every_exit
from tests.export.onnx_reader.modules import Bottleneck, Long, ResNet, liven
from tests.export.onnx_reader.onnx_graphs import random_graph
from tests.export.random_networks import Case
from training.data import Split
from training.network import Network

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def imported(writer, mean=MEAN, std=STD):
    """The Imported of a Writer's model."""
    return read(writer.model(), mean[: writer.channels], std[: writer.channels], "net")


def ended(make, *options, classes=10):
    """A Writer of a shape that people bring, with a last layer."""
    writer, v = make(*options)
    writer.gemm(v, classes)
    return writer


def rebuilt(found):
    """(Parts, the Dynamic of their description with the file's weights) of an Imported."""
    parts, image = blocks.parts(found.network), found.network.image
    network = Network({"kind": "layers", **blocks.described(found.network, parts)})
    model = network.build(found.network.classes, image.channels, image.size).eval()
    blocks.fill(model.backbone, parts)
    return parts, model


def source(found):
    """What in_integers asks of a Source."""
    return type("Statistics", (), {"mean": found.mean, "std": found.std})


def assert_the_same(found, seed=0):
    """The nodes are the file's, and so are program, weights and tables."""
    _, model = rebuilt(found)
    image = found.network.image
    again = fold(model, image.channels, image.size, signed=image.signed)
    for one, other in zip(graph.walk(found.network.nodes), graph.walk(again.nodes), strict=True):
        assert (one.kind, one.channels, one.size) == (other.kind, other.channels, other.size)
        assert (one.signed, one.limit) == (other.signed, other.limit)
        for name in ("weight", "bias", "scale", "shift"):
            if hasattr(one, name):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (8, *image.size, image.channels), np.uint8)
    split = Split.from_arrays(pixels, np.zeros(8), found.mean, found.std, found.network.classes)
    x = split.normalise(split.images)
    torch.testing.assert_close(FloatNetwork(found.network)(x).logits[-1], model(x).logits[-1], rtol=1e-4, atol=1e-4)
    both = [
        lower(in_integers(network, source(found), Parts(split, split, "test"))) for network in (found.network, again)
    ]
    for name in ("program", "weights", "tables"):
        np.testing.assert_array_equal(*(getattr(compiled, name) for compiled in both))


@pytest.mark.parametrize(
    "make, blocks_found, skippable",
    [
        (lambda: ended(resnet8), 3, 1),
        (lambda: ended(cifar_resnet, 14), 6, 6),
        (lambda: ended(resnet18, 8, 64), 8, 5),
        (lambda: ended(vgg), 0, 0),
    ],
    ids=["resnet8", "resnet14", "resnet18", "vgg"],
)
def test_networks_that_people_bring(make, blocks_found, skippable):
    found = imported(make())
    parts, model = rebuilt(found)
    assert parts.residual == blocks_found
    assert sum(unit.skippable for unit in model.backbone.units) == skippable
    sums = [unit for unit in model.backbone.units if any(layer.add is not None for layer in unit.layers)]
    assert len(sums) == blocks_found and all("hidden" in unit.masks for unit in sums)
    assert_the_same(found)


def test_a_module_with_bottlenecks():
    torch.manual_seed(0)
    model = liven(ResNet(Bottleneck, (1, 2), 4, 5))
    found = read(to_onnx(model, torch.zeros(1, 3, 32, 32)), MEAN, STD, "net")
    parts, _ = rebuilt(found)
    assert parts.residual == 3
    assert_the_same(found)


def test_a_convolution_in_parts():
    torch.manual_seed(0)
    found = read(to_onnx(Long().eval(), torch.zeros(1, 3, 16, 16)), MEAN, STD, "net")
    _, model = rebuilt(found)
    listed = [
        layer.op for part in (model.backbone.stem, *model.backbone.units, model.backbone.head) for layer in part.layers
    ]
    assert listed.count("slice") == 3
    assert_the_same(found)


@pytest.mark.parametrize("seed", range(24))
def test_any_network_is_the_one_in_the_file_or_refused(seed):
    writer = random_graph(seed)
    found = imported(writer)
    try:
        blocks.parts(found.network)
    except UserError as error:
        assert "\n" not in str(error) and "export it as it is" in str(error)
        return
    assert_the_same(found, seed)


def test_most_of_them_have_parts():
    kinds = []
    for seed in range(24):
        try:
            kinds.append(blocks.parts(imported(random_graph(seed)).network).residual)
        except UserError:
            kinds.append(None)
    assert kinds.count(None) < 12 and any(kinds)


def test_a_network_without_a_cut_is_refused():
    writer = Writer()
    x = writer.conv("image", 4, 3)
    writer.gemm(writer.mean(x), 3)
    with pytest.raises(UserError, match="no place where one map alone"):
        blocks.parts(imported(writer).network)


def limited():
    """A Writer with ReLU6: a block that a skip may stand for, and three that are cut elsewhere than their input."""
    writer = Writer(seed=5)
    x = writer.clip(writer.conv("image", 8, 3), 0, 6)
    y = writer.clip(writer.conv(x, 8, 3), 0, 6)
    x = writer.clip(writer.add(writer.conv(y, 8, 3), x), 0, 6)
    y = writer.relu(writer.conv(x, 16, 3, 2))
    x = writer.relu(writer.add(writer.conv(y, 16, 3), writer.widen(writer.halve(x), 16)))
    y = writer.relu(writer.conv(x, 16, 3))
    x = writer.add(writer.conv(y, 16, 3), x)
    writer.gemm(writer.mean(writer.relu(writer.norm(x))), 10)
    return writer


def test_which_blocks_may_be_skipped():
    found = imported(limited())
    _, model = rebuilt(found)
    units = model.backbone.units
    # the second sum has no limit, its input has one; the third has negative values, its input none; then a line
    assert [unit.skippable for unit in units] == [True, False, False, False]
    assert [set(unit.masks) for unit in units] == [{"hidden", "residual"}, {"hidden"}, {"hidden"}, set()]
    assert_the_same(found)


@dataclass(frozen=True)
class Layered(Case):
    """A case whose backbone comes from a file."""

    make: Any = None

    @property
    def network(self):
        """Its Network, gates and exits as the recipe of a case has them."""
        given = super().network
        found = imported(self.make(), self.mean, self.std)
        backbone = {"kind": "layers", **blocks.described(found.network, blocks.parts(found.network))}
        return Network(backbone, given.layer_gates, given.channel_gates, given.exits)


@pytest.mark.parametrize(
    "case",
    [
        Layered((), "pooled", "pooled", ("hidden", "residual"), (0, 2), make=lambda: ended(cifar_resnet, 14)),
        Layered((), "recurrent", "convolution", ("hidden+residual",), "radi", make=lambda: ended(cifar_resnet, 8)),
        Layered((), "pooled", "pooled", ("hidden",), (1, 3), size=(64, 64), make=lambda: ended(resnet18, 4, 64)),
        Layered((), "pooled", "pooled", ("hidden",), size=(16, 16), make=limited),
        Layered(exits=(0, 1), make=lambda: ended(vgg)),
    ],
    ids=["resnet14", "papers", "resnet18", "limits", "vgg"],
)  # fmt: skip
def test_engine_and_training_count_and_decide_alike(case):
    compare_every_exit(golden.run, case, count=3)


def test_names_of_layers_are_checked():
    bad = [
        ([{"op": "conv"}], "unknown op 'conv'"),
        ([{"op": "mean", "size": 3}], "unknown key 'size'"),
        ([{"op": "mean", "x": 1}], "reads (1,)"),
        ([{"op": "convolution", "channels": 4, "kernel": 0}], "kernel = 0: expected 1 to"),
        ([{"op": "convolution", "channels": 10**9}], "channels = 1000000000"),
        ([{"op": "convolution", "channels": "four"}], "'<=' not supported"),
        (["convolution"], "layer 1 is 'convolution': expected a table"),
        ([{"op": "mean"}, {"op": "pool"}], "layer 2, pool, reads a vector"),
        ([{"op": "linear", "channels": 4}], "layer 1, linear, reads a map"),
        ([{"op": "convolution", "channels": 4, "add": 0}], "layer 1 adds 3 channels to 4"),
        ([{"op": "slice", "before": 2, "channels": 2}], "layer 1 takes 2 channels behind 2 of 3"),
        ([], "expected a name"),
    ]
    good = [{"op": "convolution", "channels": 4, "kernel": 3, "relu": True}]
    head = [{"op": "mean"}, {"op": "linear", "channels": 3}]
    for stem, expected in bad:
        with pytest.raises(UserError, match=r"network\.backbone") as error:
            Network({"kind": "layers", "name": "n", "stem": stem, "units": [good], "head": head}).build(3)
        assert expected in str(error.value)
    with pytest.raises(UserError, match="the head ends in 3 values, the data has 4 classes"):
        Network({"kind": "layers", "name": "n", "stem": good, "units": [good], "head": head}).build(4)
