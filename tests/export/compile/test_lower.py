"""Programs cost what the model says, fit, and are what the package's meta tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export import fold
from export.build import Source, architecture, build
from export.compile.layout import LowerError
from export.compile.lower import lower, stop_after
from export.integer import IntegerNetwork
from hls import cost, golden, isa, package
from hls.program import decode as fields_of
from hls.record import Start, decode
from tests.export.random_networks import (
    MEAN,
    STD,
    VARIANTS,
    network_of,
    normalise,
    quantised,
    random_images,
    random_model,
)
from training.dynamic import DynamicResNet, Network

SOURCE = Source("test", "resnet8-ddi", "cifar10", MEAN, STD, tuple("abcdefghij"), {"seed": 0})


def opened(model):
    """The model with every gate open for every image."""
    with torch.no_grad():
        if model.network.layer_gates:
            model.layer_gates.linear.bias.fill_(1e6)
        if model.network.channel_gates:
            for gate in model.channel_gates:
                gate.fc.bias.fill_(1e6)
    return model


def static_flops(program):
    """Per exit in order: FLOPs of the main stream up to it, every channel active, and of its classifier."""
    spent, totals = 0, []
    for words in program:
        spent += cost.instruction_cost(words).flops
        if int(words[0]) == isa.TAP:
            totals.append(spent + fields_of(words)["flops"])
        if int(words[0]) == isa.EXIT:
            return [*totals, spent]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_worst_case_is_the_models_full_cost(variant):
    model = opened(random_model(network_of(variant)))
    images = random_images(4)
    with torch.no_grad():
        expected = model(normalise(images[:1])).flops[0].tolist()
    program = lower(quantised(model, images)).program
    assert static_flops(program) == expected
    worst = [item.flops for item in cost.worst_case(program)]
    assert all(one >= other for one, other in zip(worst, expected))  # reserves for exits on the way come on top
    assert worst[0] == expected[0]


@pytest.mark.parametrize("depth, flops", [(20, 81_626_368), (74, 336_430_336)])
def test_plain_networks_cost_what_the_papers_say(depth, flops):
    model = DynamicResNet(Network(depth, layer_gates=False, channel_gates=False, exits=False)).eval()
    program = lower(quantised(model, random_images(2))).program
    with torch.no_grad():
        expected = model(normalise(random_images(1))).flops[0].tolist()
    assert static_flops(program) == expected
    assert abs(expected[0] - flops) < 0.01 * flops


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_flops_of_an_image_are_the_models_for_the_same_decisions(variant):
    model, images = random_model(network_of(variant)), random_images(12, 5)
    compiled = lower(quantised(model, images))
    with torch.no_grad():
        out = model(normalise(images))
    trace = torch.stack([keep.sum(1) for keep in out.channel_keep], 1) if out.channel_keep else None
    if model.network.layer_gates:
        full = torch.tensor([model.blocks()[i].channels for i in fold.fold(model).gates])
        trace = torch.where(out.layer_keep > 0, full.float() if trace is None else trace, isa.TRACE_SKIPPED)
    start, compared = Start(compiled.gates, compiled.classes), 0
    for number in range(len(out.logits)):
        program = stop_after(compiled.program, number)
        results = decode(golden.run(program, compiled.weights, compiled.tables, images, start), start)
        reached = results.trace != isa.TRACE_NOT_REACHED
        expected = np.zeros_like(results.trace) if trace is None else trace.numpy().astype(np.int32)
        same = ((results.trace == expected) | ~reached).all(1)  # int8 may decide otherwise where a logit is near 0
        assert (results.flops[same] == out.flops[same, number].numpy()).all()
        compared += same.sum()
    assert compared >= len(out.logits) * 3


def test_skipped_blocks_cost_their_gate_alone():
    model = random_model(network_of(VARIANTS[1]))
    with torch.no_grad():
        model.layer_gates.linear.bias.fill_(-1e6)
    images = random_images(2)
    compiled = lower(quantised(model, images))
    start = Start(compiled.gates, compiled.classes)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    with torch.no_grad():
        expected = model(normalise(images)).flops[:, -1]
    assert (results.trace == isa.TRACE_SKIPPED).all() and (results.layers_run == 0).all()
    assert (results.flops == expected.numpy()).all()


def test_channel_gates_that_close_everything_leave_the_identity():
    model = random_model(network_of(VARIANTS[4]))
    with torch.no_grad():
        for gate in model.channel_gates:
            gate.fc.bias.fill_(-1e6)
    images = random_images(2)
    compiled = lower(quantised(model, images))
    start = Start(compiled.gates, compiled.classes)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    assert (results.status == isa.STATUS_OK).all() and (results.trace == 0).all()


def test_a_network_too_large_for_tile_memory_is_refused():
    network8 = quantised(random_model(network_of(VARIANTS[7])), random_images(2))
    with pytest.raises(LowerError, match=r"need \d+ KB at once, also in bands of .* tile memory has 5 KB"):
        lower(network8, tile_words=80)


def test_large_images_go_through_the_ddr():
    network8 = quantised(random_model(network_of(VARIANTS[7])), random_images(2))
    network8 = replace(network8, shape=replace(network8.shape, size=256))
    compiled, image = (
        lower(network8),
        random_images(64).reshape(1, 8, 8, 32, 32, 3).swapaxes(2, 3).reshape(1, 256, 256, 3),
    )
    start = Start(compiled.gates, compiled.classes, map_words=compiled.map_words)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, image, start), start)
    assert compiled.map_words > 16 * 32 * 32 and compiled.tile_words <= isa.TILE_WORDS
    np.testing.assert_array_equal(results.logits, IntegerNetwork(network8)(image).logits[0].numpy())


def test_too_many_classes_are_refused():
    network8 = quantised(random_model(network_of(VARIANTS[7])), random_images(2))
    head = replace(network8.head, bias=np.zeros(2000, np.int32))
    with pytest.raises(LowerError, match="more than the engine holds"):
        lower(replace(network8, head=head))


def test_stop_after_the_last_exit_changes_nothing():
    program = lower(quantised(random_model(network_of(VARIANTS[0])), random_images(2))).program
    last = len(cost.worst_case(program)) - 1
    assert np.array_equal(stop_after(program, last), program)
    assert not np.array_equal(stop_after(program, 0), program)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_package_is_written_and_read(variant, tmp_path):
    network8 = quantised(random_model(network_of(variant)), random_images(2))
    built = build(network8, SOURCE, {"split": "validation"})
    package.write(tmp_path / "p.npz", built)
    read = package.read(tmp_path / "p.npz")
    assert read.meta == built.meta and np.array_equal(read.program, built.program)
    assert read.gates == len(network8.shape.gates)
    assert [item["block"] for item in read.exits] == [*network8.shape.exits, len(network8.blocks) - 1]
    assert read.exits[-1]["name"] == "end" and read.image_shape == (32, 32, 3)


def test_architecture_names():
    plain, dynamic = (fold.fold(random_model(network_of(variant))) for variant in (VARIANTS[7], VARIANTS[0]))
    assert (architecture(plain), architecture(dynamic)) == ("resnet8", "resnet8-ddi")
