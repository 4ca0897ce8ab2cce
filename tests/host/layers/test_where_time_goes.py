"""host/layers/: what ran by a record sums up to the record, whatever stopped the image; tables and traces likewise."""

import json

import numpy as np
import pytest

from bench.standin import tiny
from data.datasets import load_sample
from hls import cosim, golden, isa, program
from hls.errors import UserError
from hls.package import read
from hls.record import decode
from hls.schedule import MULTIPLICATIONS
from host import run as command
from host.layers.labels import EXIT, GATE, NETWORK, labels
from host.layers.table import layers, table
from host.layers.timeline import MOST, trace
from host.layers.walk import Walk
from tests.hls.packages import random_package

CLOCK_HZ = 143e6
SUMS = ("flops", "cycles", "weight_bytes")


def starts(package):
    """Starts that end images in every way: at the end, by a budget, by a rule, by a rule under a budget."""
    first, last = package.exits[0], package.exits[-1]
    yield package.start()
    for share in (0.0, 0.4, 0.8):
        flops = round(first["flops"] + share * (last["flops"] - first["flops"]))
        yield package.start(budget_flops=flops)
    yield package.start(rule=isa.RULE_ENTROPY, threshold=round(1.5 * 65536))
    yield package.start(rule=isa.RULE_CONFIDENCE, threshold=1 << 16, budget_cycles=2 * last["cycles"])


def records(package, start, images):
    return decode(golden.run(package.program, package.weights, package.tables, images, start), start)


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_steps_sum_up_to_the_record(seed):
    package = random_package(seed)
    images = np.random.default_rng(seed).integers(0, 256, (3, *package.image_shape), np.uint8)
    for start in starts(package):
        results = records(package, start, images)
        assert (results.status == isa.STATUS_OK).all()
        walk = Walk(package, start)
        for index, image in enumerate(images):
            steps = walk.steps(results, index, image)
            for name in SUMS:
                assert sum(getattr(step.cost, name) for step in steps) == getattr(results, name)[index]
            assert len(steps) == results.instructions[index] and steps[-1].pc == results.pc[index]


def test_the_programs_above_end_in_every_way():
    reasons, counted = set(), set()
    for seed in range(0, 60, 5):
        package = random_package(seed)
        images = np.random.default_rng(seed).integers(0, 256, (3, *package.image_shape), np.uint8)
        counted.add(Walk(package, package.start()).counted)
        reasons |= {int(reason) for start in starts(package) for reason in records(package, start, images).reason}
    assert reasons == set(isa.REASONS.values()) - {isa.REASON_TIME} and counted == {True, False}


@pytest.mark.parametrize("seed", range(0, 60, 10))
def test_an_image_that_lost_time_is_followed_to_its_stop(seed):
    """A replayed stop: the last instructions are the classifier of the exit that was kept."""
    package = random_package(seed)
    images = np.random.default_rng(seed).integers(0, 256, (2, *package.image_shape), np.uint8)
    start = package.start(budget_cycles=2 * package.exits[-1]["cycles"])
    walk, free = Walk(package, start), records(package, start, images)
    paths = [[step.pc for step in walk.steps(free, index, image)] for index, image in enumerate(images)]
    taps = [next(at for at, pc in enumerate(ran) if walk.fields[pc]["opcode"] == isa.TAP) for ran in paths]
    data = package.program, package.weights, package.tables, images, start
    stopped = decode(golden.run(*data, stops=[ran[tap + 1] for ran, tap in zip(paths, taps)]), start)
    assert set(stopped.reason) == {isa.REASON_TIME}
    for index, image in enumerate(images):
        ran, tap = [step.pc for step in walk.steps(stopped, index, image)], taps[index]
        assert ran[: tap + 1] == paths[index][: tap + 1] and ran[tap + 1] == walk.fields[ran[tap]]["target"]


def sample(count=6):
    package = tiny.package()
    start = package.start(budget_flops=package.exits[-1]["flops"])
    images = load_sample()[0][:count]
    return package, start, records(package, start, images), images


def test_rows_sum_up_to_the_records():
    package, start, results, images = sample()
    rows = layers(package, start, results, images)
    for name in SUMS:
        assert sum(row[name] for row in rows) == getattr(results, name).sum()
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    text = table(rows, len(images)).splitlines()
    mean = f"{results.cycles.mean():,.0f}"
    assert text[-1].startswith("all") and mean in text[-1].split()
    assert [line.split("  ")[0] for line in text[2:-1]] == [row["name"] for row in rows]
    (gated,) = [row for row in rows if row["block"] == 0 and row["part"] == NETWORK and "conv" in row["name"]]
    assert gated["images"] == (results.trace[:, 0] >= 0).sum() and gated["name"] == "block 0: conv 1×1 3→4, 32×32"
    flops = 2 * 32 * 32 * 3 * 4
    assert gated["flops"] == flops * gated["images"]


def test_a_record_of_other_costs_is_a_fault():
    package, start, results, images = sample()
    results.cycles[1] += 1
    with pytest.raises(UserError, match="image 1: its instructions sum up to"):
        layers(package, start, results, images)


def test_parts_of_a_program():
    found = labels(tiny.package())
    assert [label.part for label in found] == [
        NETWORK, GATE, EXIT, GATE, GATE, NETWORK, NETWORK, NETWORK, NETWORK, NETWORK, EXIT, EXIT
    ]  # fmt: skip
    assert found[5].block == 0 and found[4].name == "block 0's gate: gate layer" and found[10].name == "exit 0: fc 3→10"


def test_a_trace_is_what_perfetto_reads():
    package, start, results, images = sample()
    found = json.loads(trace(package, start, results, images, CLOCK_HZ, results.cycles * 1.5))
    slices = [event for event in found["traceEvents"] if event["ph"] == "X"]
    names = {event["args"]["name"] for event in found["traceEvents"] if event["ph"] == "M"}
    assert {"engine: modelled cycles at 143 MHz", "board: measured cycles", "layers", "gates", "exits"} <= names
    assert {"array", "weights' ports", "stalls"} <= names
    modelled = [event for event in slices if event["pid"] == 1]
    ran = [event for event in modelled if event["cat"] in ("layers", "gates", "exits")]
    assert sum(event["args"]["cycles"] for event in ran) == results.cycles.sum()
    assert sum(event["args"]["flops"] for event in ran) == results.flops.sum()
    assert sum(event["dur"] for event in ran) == pytest.approx(results.cycles.sum() / CLOCK_HZ * 1e6)
    ends = [event["ts"] + event["dur"] for event in ran]
    assert [event["ts"] for event in ran[1:]] == pytest.approx(ends[:-1])  # back to back, each once
    convs = [event for event in modelled if event["cat"] in ("array", "stalls")]
    inside = [event for event in ran if "conv" in event["name"]]
    assert inside and sum(e["dur"] for e in convs) == pytest.approx(sum(e["dur"] for e in inside))
    assert all(event["dur"] >= 0 for event in slices)
    measured = [event["args"]["cycles"] for event in slices if event["pid"] == 2]
    assert measured == (results.cycles * 1.5).tolist()


def test_what_a_convolution_does_by_its_bytes_and_products():
    """3×3 at stride 1 over whole tiles, channels that fill the lanes: nothing is rounded, a port feeds a lane."""
    package = read("packages/fashion-mnist.npz")
    start = package.start(budget_flops=package.exits[-1]["flops"])
    images = load_sample()[0][:1]
    results = decode(cosim.run(package.program, package.weights, package.tables, images, start), start)
    slices = [e for e in json.loads(trace(package, start, results, images, CLOCK_HZ))["traceEvents"] if e["ph"] == "X"]
    inside = {(e["cat"], e["args"]["pc"]): e for e in slices if "pc" in e["args"]}
    checked = 0
    for layer in slices:
        fields = program.decode(package.program[layer["args"]["pc"]]) if layer["cat"] == "layers" else {}
        if fields.get("opcode") != isa.CONV or (fields["kernel"], fields["stride"]) != (3, 1):
            continue
        told, pc = layer["args"], layer["args"]["pc"]
        if told.get("active_out", fields["out_channels"]) % isa.OUT_LANES or fields["height"] % isa.TILE:
            continue
        multiplies, fetches, waits = (inside[name, pc] for name in ("array", "weights' ports", "stalls"))
        assert multiplies["args"]["cycles"] == told["flops"] / 2 / MULTIPLICATIONS
        assert fetches["args"]["cycles"] == told["weight_bytes"] / (isa.OUT_LANES * isa.PORT_BYTES)
        assert waits["args"]["cycles"] == told["cycles"] - multiplies["args"]["cycles"] > 0
        assert fetches["dur"] == pytest.approx(fetches["args"]["cycles"] / CLOCK_HZ * 1e6)
        assert fetches["ts"] == waits["ts"] == layer["ts"]
        assert multiplies["ts"] == pytest.approx(waits["ts"] + waits["dur"])
        checked += 1
    assert checked > 5


# --------------------------------------------------------------------------------------------------- the command line
def run(capsys, *argv):
    code = command.main([str(word) for word in argv])
    return code, *capsys.readouterr()


def test_the_options(capsys, tmp_path):
    package, path = tiny.save(tmp_path / "tiny.npz"), tmp_path / "t.json"
    options = ["--package", package, "--backend", "golden", "--images", 4, "--layers", "--timeline", path]
    code, out, err = run(capsys, *options)
    assert (code, err) == (0, "") and "block 0: conv 1×1 3→4, 32×32" in out and "means an image" in out
    slices = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert sum(event["cat"] == "images" for event in slices) == 4
    code, out, err = run(capsys, *options, "--json", "-")
    found = json.loads(out)
    assert sum(row["cycles"] for row in found["layers"]) == round(4 * found["cycles"]["mean"])


def test_the_options_with_pictures(capsys, tmp_path):
    package, path, picture = tiny.save(tmp_path / "tiny.npz"), tmp_path / "t.json", tmp_path / "one.npy"
    np.save(picture, load_sample()[0][0])
    options = ["--package", package, "--backend", "golden", "--image", picture, "--layers", "--timeline", path]
    code, out, err = run(capsys, *options)
    assert (code, err) == (0, "") and "block 0: conv 1×1 3→4, 32×32" in out and path.exists()
    code, out, err = run(capsys, *options, "--json", "-")
    found = json.loads(out)
    assert sum(row["cycles"] for row in found["layers"]) == found["images"][0]["cycles"]


def test_many_images_are_shown_in_part(capsys, tmp_path):
    package, path = tiny.save(tmp_path / "tiny.npz"), tmp_path / "t.json"
    options = ["--package", package, "--backend", "golden", "--images", MOST + 1, "--timeline", path]
    code, _, err = run(capsys, *options)
    assert code == 0 and err == f"run: --timeline shows the first {MOST} of {MOST + 1} images\n"
    events = json.loads(path.read_text())["traceEvents"]
    assert sum(event["ph"] == "X" and event["cat"] == "images" for event in events) == MOST


def test_another_ending_is_refused(capsys, tmp_path):
    code, _, err = run(capsys, "--package", tiny.save(tmp_path / "tiny.npz"), "--timeline", tmp_path / "t.svg")
    assert code == 2 and "another ending than .json" in err


def test_a_package_in_packages_too():
    """A real program: gates of blocks, exits with pools before them, a head."""
    package = read("packages/fashion-mnist.npz")
    found = labels(package)
    numbers = {gate["block"] for gate in package.meta["gates"]}
    assert {label.block for label in found if label.part == GATE} == numbers
    exits = [label for label in found if label.part == EXIT]
    assert {label.row[1] for label in exits} == {f"exit {number}" for number in range(len(package.exits) - 1)}
    assert {label.name.split(": ")[1].split(" ")[0] for label in exits} == {"pool", "tap", "conv", "fc", "exit"}
