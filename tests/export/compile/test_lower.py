"""Programs cost what the model says, fit, and are what the package's meta tells; what cannot be done is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export.build import Source, build
from export.compile.layout import LowerError
from export.compile.lower import lower, stop_after
from export.float_network import FloatNetwork
from export.graph import ChannelGate, Convolution, Exit, LayerGate, Lstm, Mean, Network, Pool, walk
from export.integers.calibrate import calibrate
from export.integers.integer import IntegerNetwork
from export.integers.quantize import quantize
from hls import cost, golden, isa, package
from hls.program import decode as fields_of
from hls.record import decode
from tests.export.random_networks import (
    MEAN,
    STD,
    VARIANTS,
    Case,
    folded,
    last_layer,
    normalise,
    quantised,
    random_images,
    random_model,
    start_of,
)

SOURCE = Source("test", "cifar10", MEAN, STD, tuple("abcdefghij"), {"seed": 0})


def biased(model, value):
    """The model with every gate open (or closed, below 0) for every image."""
    with torch.no_grad():
        for gate in model.gates():
            gate = getattr(gate, "gate", gate)
            (gate.shared.linear.bias if hasattr(gate, "shared") else last_layer(gate)[1]).fill_(value)
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


def run(compiled, images):
    start = start_of(compiled)
    return decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)


@pytest.mark.parametrize("name", VARIANTS)
def test_worst_case_is_the_models_full_cost(name):
    case = VARIANTS[name]
    model, images = biased(random_model(case), 1e6), random_images(case, 4)
    with torch.no_grad():
        expected = model(normalise(case, images[:1])).flops[0].tolist()
    program = lower(quantised(case, images, model)).program
    assert static_flops(program) == expected
    worst = [item.flops for item in cost.worst_case(program)]
    assert all(one >= other for one, other in zip(worst, expected))  # reserves for exits on the way come on top
    assert worst[0] == expected[0]


@pytest.mark.parametrize("units, flops", [((3, 3, 3), 81_626_368), ((12, 12, 12), 336_430_336)])
def test_plain_networks_cost_what_the_papers_say(units, flops):
    case = Case(units)
    model = random_model(case)
    program = lower(quantised(case, random_images(case, 2), model)).program
    assert static_flops(program) == [model.backbone.cost((32, 32))]
    assert abs(model.backbone.cost((32, 32)) - flops) < 0.01 * flops


@pytest.mark.parametrize("name", ["recurrent layers", "pooled, both masks"])
def test_skipped_units_cost_their_gate_alone(name):
    case = VARIANTS[name]
    model, images = biased(random_model(case), -1e6), random_images(case, 2)
    results = run(lower(quantised(case, images, model)), images)
    with torch.no_grad():
        expected = model(normalise(case, images)).flops[:, -1]
    assert (results.trace == isa.TRACE_SKIPPED).all() and (results.layers_run == 0).all()
    assert (results.flops == expected.numpy()).all()


@pytest.mark.parametrize("name", ["convolution channels", "hidden alone"])
def test_channel_gates_that_close_everything_leave_the_identity(name):
    case = VARIANTS[name]
    images = random_images(case, 2)
    network8 = quantised(case, images, biased(random_model(case), -1e6))
    results = run(lower(network8), images)
    assert (results.status == isa.STATUS_OK).all() and (results.trace == 0).all()
    np.testing.assert_array_equal(results.logits, IntegerNetwork(network8)(images).logits[-1].numpy())


def test_a_network_too_large_for_tile_memory_is_refused():
    network8 = quantised(VARIANTS["plain"], random_images(VARIANTS["plain"], 2))
    with pytest.raises(LowerError, match=r"need \d+ KB at once, also in bands of .* tile memory has 5 KB"):
        lower(network8, tile_words=80)


def test_large_images_go_through_the_ddr():
    case = Case(size=(256, 200))
    images = random_images(case, 1)
    network8 = quantised(case, images)
    compiled = lower(network8)
    assert compiled.map_words > 16 * 32 * 25 and compiled.tile_words <= isa.TILE_WORDS
    np.testing.assert_array_equal(run(compiled, images).logits, IntegerNetwork(network8)(images).logits[0].numpy())


def test_too_many_classes_are_refused():
    case = Case(classes=2000)
    with pytest.raises(LowerError, match="2000 classes or 0 gates are more than the engine's 1024 and 256"):
        lower(quantised(case, random_images(case, 2)))


def test_vectors_that_do_not_fit_are_refused(monkeypatch):
    network8 = quantised(VARIANTS["papers"], random_images(VARIANTS["papers"], 2))
    monkeypatch.setattr(isa, "VECTOR_WORDS", 100)
    with pytest.raises(LowerError, match=r"vectors need \d+ words at once, the engine has 100"):
        lower(network8)


def test_stop_after_the_last_exit_changes_nothing():
    program = lower(quantised(VARIANTS["papers"], random_images(VARIANTS["papers"], 2))).program
    last = len(cost.worst_case(program)) - 1
    assert np.array_equal(stop_after(program, last), program)
    assert not np.array_equal(stop_after(program, 0), program)


@pytest.mark.parametrize("name", VARIANTS)
def test_package_is_written_and_read(name, tmp_path):
    case = VARIANTS[name]
    network8 = quantised(case, random_images(case, 2))
    classes = tuple(f"class {number}" for number in range(case.classes))
    source = replace(SOURCE, mean=case.mean, std=case.std, classes=classes)
    built = build(network8, source, {"split": "validation"})
    package.write(tmp_path / "p.npz", built)
    read = package.read(tmp_path / "p.npz")
    assert read.meta == built.meta and np.array_equal(read.program, built.program)
    assert read.gates == len(network8.graph.gates)
    assert [item["block"] for item in read.exits] == [node.unit for node in network8.graph.exits]
    assert read.exits[-1]["name"] == "end" and read.image_shape == (*case.size, case.channels)
    head = cost.fc_flops(network8.graph.exits[-1].logits.x.channels, case.classes)
    assert read.exits[-1]["classifier_flops"] == head


# ----------------------------------------------------------------------------------- what the engine cannot do, by hand
def changed(name, change):
    """The Network8 of a variant's graph after `change(nodes)` has edited its list of nodes; numbers by node's name."""
    case = VARIANTS[name]
    network, x = folded(case), normalise(case, random_images(case, 2))
    change(network.nodes)
    return quantize(network, calibrate(network, [x]), case.mean, case.std)


def find(nodes, kind, **fields):
    """The first node of a kind whose fields are these."""
    matching = (node for node in walk(nodes) if isinstance(node, kind))
    return next(node for node in matching if all(getattr(node, key) == value for key, value in fields.items()))


def test_closed_channels_must_not_be_read():
    def pool_closed(nodes):
        gate = find(nodes, LayerGate)
        inner = find(gate.body, Convolution, name="units.0.conv1")
        gate.body.insert(gate.body.index(inner) + 1, Mean("peek", inner.channels, x=inner))

    with pytest.raises(LowerError, match=r"peek reads channels of units\.0\.conv1 that its gate has closed"):
        lower(changed("pooled", pool_closed))


def test_a_map_that_is_read_again_is_not_written_over():
    def read_late(nodes):
        gate = find(nodes, LayerGate)
        late = Pool("late", 16, (16, 16), x=gate.otherwise, kernel=2, stride=2, padding=0, average=False)
        nodes.insert(nodes.index(gate) + 1, late)

    with pytest.raises(
        LowerError, match=r"units\.0\.conv2 is to be written in place of stem\.conv, which is read again"
    ):
        lower(changed("recurrent layers", read_late))


def test_an_exit_must_begin_with_a_pool():
    def without_pool(nodes):
        first = find(nodes, Exit)
        pool = first.body[0]
        position = nodes.index(first)
        nodes.insert(position, first.body.pop(0))
        assert isinstance(pool, Pool)

    with pytest.raises(LowerError, match=r"exit behind unit \d: its classifier must begin with a pool"):
        lower(changed("papers", without_pool))


def test_a_second_lstm_is_refused():
    def restart(nodes):
        step = [node for node in nodes if isinstance(node, Lstm)][1]
        object.__setattr__(step, "before", None)

    with pytest.raises(LowerError, match="the engine holds the state of one LSTM"):
        lower(changed("papers", restart))


def test_four_masks_at_once_are_refused():
    def more(nodes):
        gate = find(nodes, LayerGate)
        mask, last = find(gate.body, ChannelGate), gate.body[-1]
        for number in range(3):
            extra = replace(mask, name=f"mask {number}", gate=-1)
            gate.body.insert(gate.body.index(mask) + 1, extra)
            again = replace(find(gate.body, Convolution, name="units.0.conv1"), name=f"more {number}", out_mask=extra)
            sum_ = replace(last, name=f"sum {number}", x=again, in_mask=extra, out_mask=None, add=None)
            gate.body[-1:-1] = [again, sum_]

    with pytest.raises(LowerError, match="more than 3 masks are in use at once"):
        lower(changed("pooled", more))


def test_floats_and_integers_take_a_graph_made_by_hand():
    """Nothing of the chain asks for a model of training: average pools and a stem alone are enough."""
    plain = folded(Case((1,), size=(20, 28)))
    image, stem = plain.nodes[:2]
    pool = Pool("average", 16, (9, 13), x=stem, kernel=3, stride=2, padding=0, average=True)
    mean = Mean("mean", 16, x=pool)
    end = plain.nodes[-1]
    logits = replace(end.logits, x=mean)
    network = Network("small", [image, stem, pool, Exit("end", 10, unit=0, body=[mean, logits], logits=logits)], ())
    case = Case((1,), size=(20, 28))
    images = random_images(case, 3)
    network8 = quantize(network, calibrate(network, [normalise(case, images)]), MEAN, STD)
    found = IntegerNetwork(network8)(images).logits[0]
    np.testing.assert_array_equal(run(lower(network8), images).logits, found.numpy())
    expected = FloatNetwork(network)(normalise(case, images)).logits[0]
    assert (found * network8.steps["logits"] - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize(("name", "gated"), [("dense, repeating", 2), ("dense, zeros", 4)])
def test_new_channels_of_a_dense_layer_are_written_where_they_belong(name, gated):
    """One AFFINE for each batch norm that stands alone and for what stands for a skipped layer: nothing is copied."""
    case = VARIANTS[name]
    program = lower(quantised(case, random_images(case, 3))).program
    norms = 4 + 2  # of layers, a transition and the head; a light gate has one for each mask
    assert int((program[:, 0] == isa.AFFINE).sum()) == norms + gated * (1 + len(case.masks))


def test_groups_multiply_nothing_but_what_is_connected():
    """As many weights as connections: 8 channels in 2 and in 4 groups, one CONV a run of outputs."""
    case = Case((1,), channel="acs", size=(12, 16), groups="dynamic")
    model = random_model(case)
    first, second = (getattr(model.channel_gates["0"][0].gate, name) for name in ("conv2", "conv3"))
    with torch.no_grad():
        first.numbers.copy_(torch.tensor([1.0, -1.0, 1.0]))
        second.numbers.copy_(torch.tensor([-1.0, 1.0, -1.0]))
    program = lower(quantised(case, random_images(case, 3), model)).program
    inner = [fields for fields in map(fields_of, program) if fields["opcode"] == isa.CONV and fields["in_channels"] < 8]
    assert [(f["in_channels"], f["out_channels"]) for f in inner if f["kernel"] == 3][1:] == [(4, 1)] * 8 + [(2, 2)] * 4
