"""The check of a package: two networks that agree, and each kind of fault is found where it was put."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.networks.onnx_writer import cifar_resnet, resnet8, vgg
from export import __main__ as command
from export.build import Source, build
from export.check import command as checking
from export.check.layers import compare
from export.check.records import first_difference, name_of
from export.check.report import summary, table
from export.check.source import check_made
from export.compile.lower import lower
from export.packing import Parts, in_integers
from hls import golden, isa, package
from hls.errors import UserError
from host.simulation import Golden
from tests.export.onnx_reader.test_blocks import ended, imported
from tests.export.random_networks import (
    VARIANTS,
    folded,
    normalise,
    quantised,
    random_images,
    split_of,
)

CASE = VARIANTS["pooled, both masks"]


def compared(case, network8=None, count=12):
    images = random_images(case, count)
    network8 = network8 or quantised(case, random_images(case, 48, 7))
    return compare(network8, images, normalise(case, images))


@pytest.mark.parametrize("name", ["plain", "papers", "pooled, both masks", "mixed", "exits alone"])
def test_a_layer_by_itself_is_within_its_bound(name):
    found = compared(VARIANTS[name])
    assert not [layer.name for layer in found.layers if layer.beyond.any()]
    assert all(layer.cosine > 0.9 for layer in found.layers) and found.layers[0].cosine > 0.999
    assert max(layer.saturation for layer in found.layers) < 0.1  # logits of gates are wider than other vectors
    checked = {layer.kind for layer in found.layers}
    assert {"image", "convolution", "linear", "mean"} <= checked


@pytest.mark.parametrize("make", [lambda: ended(resnet8), lambda: ended(vgg), lambda: ended(cifar_resnet, 8)])
def test_imported_networks_are_within_theirs(make):
    found = imported(make())
    pixels = np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), np.uint8)
    split = split_of(replace(CASE, classes=10, size=(32, 32)), pixels)
    split.normalise_by(found.mean, found.std)
    network8 = in_integers(found.network, found, Parts(split, split, "test"))
    layers = compare(network8, pixels[:6], split.normalise(split.images[:6])).layers
    assert not [layer.name for layer in layers if layer.beyond.any()]


@pytest.fixture(scope="module")
def network8():
    return quantised(CASE, random_images(CASE, 48, 7))


def broken(network8, kind, change):
    """The Network8 with the numbers of its first layer of a kind changed; the layer's name."""
    node = next(node for node in network8.numbers if node.kind == kind and node.name != "stem.conv")
    return replace(network8, numbers={**network8.numbers, node: change(network8.numbers[node])}), node.name


def test_the_bound_is_tight_enough_to_see_one_channels_bias(network8):
    """Two steps of one channel's output, and no other layer is accused."""

    def change(conv):
        factor = (conv.scale[3] & 0xFFFF) * 2.0 ** -(conv.scale[3] >> 16 & 0x3F)
        bias = conv.bias.copy()
        bias[3] += round(6 / factor)
        return replace(conv, bias=bias)

    wrong, name = broken(network8, "convolution", change)
    found = compared(CASE, wrong)
    assert [layer.name for layer in found.layers if layer.beyond.any()] == [name]
    (layer,) = [layer for layer in found.layers if layer.name == name]
    assert list(np.flatnonzero(layer.beyond)) == list(np.flatnonzero(layer.excess)) == [3] and layer.excess[3] > 1
    values = summary(_package(wrong), "as given", found, np.zeros(12, int), None)
    assert (values["first_beyond"]["layer"], values["first_beyond"]["channel"]) == (name, 3)
    assert f"first layer beyond its bound: {name}, channel 3" in table(values)


def test_values_that_are_cut_off_are_counted(network8):
    """A range that is far too small: saturation and cosine tell, the bound does not accuse what is cut."""

    def change(conv):
        return replace(conv, scale=(conv.scale - (3 << 16)).astype(np.int32))  # eight times the value

    wrong, name = broken(network8, "convolution", change)
    usual, found = compared(CASE, network8), compared(CASE, wrong)
    (before,), (after,) = ([layer for layer in one.layers if layer.name == name] for one in (usual, found))
    assert before.saturation < 0.05 < after.saturation and after.cosine < before.cosine


def test_a_gates_layer_is_checked_too(network8):
    """A row of weights that is another: the layer in front of a channel gate, whose accumulators are bare."""

    def change(layer):
        weight = layer.weight.copy()
        weight[1] = np.roll(weight[1], 1)
        return replace(layer, weight=weight)

    bare = [node for node, item in network8.numbers.items() if getattr(item, "scale", 0) is None]
    node = next(node for node in bare if node.channels > 1)
    wrong = replace(network8, numbers={**network8.numbers, node: change(network8.numbers[node])})
    found = {layer.name: layer for layer in compared(CASE, wrong).layers}[node.name]
    assert list(np.flatnonzero(found.beyond)) == [1]


def _package(network8):
    classes = tuple(str(number) for number in range(CASE.classes))
    return build(network8, Source("net", "noise", CASE.mean, CASE.std, classes, {}), {})


def test_decisions_labels_and_worst_images(network8):
    found, labels = compared(CASE, network8), np.arange(12) % CASE.classes
    values = summary(_package(network8), "as given", found, labels, None)
    assert len(values["worst"]) == 10 and len(values["exits"]) == len(network8.graph.exits)
    distances = [item["distance"] for item in values["worst"]]
    assert distances == sorted(distances, reverse=True)
    one, other = found.logits
    index = values["worst"][0]["image"]
    assert distances[0] == pytest.approx(np.abs(one[index] - other[index]).max())
    assert {gate["kind"] for gate in values["gates"]} == {"layer", "channel"}
    assert all(0 <= gate["share"] < 0.3 for gate in values["gates"])
    for item, logits in zip(values["exits"][-1:], found.logits[:1]):
        assert item["float"] == pytest.approx((logits.argmax(1) == labels).mean())


def test_a_threshold_that_was_moved_flips_decisions(network8):
    gate = next(node for node in network8.numbers if node.kind == "layergate")
    wrong = replace(network8, numbers={**network8.numbers, gate: 2**30})  # nothing is over it
    found = {flip["name"]: flip["share"] for flip in compared(CASE, wrong).flips}
    usual = {flip["name"]: flip["share"] for flip in compared(CASE, network8).flips}
    assert found[gate.name] > max(0.2, usual[gate.name])


# ------------------------------------------------------------------------------------------------------------ records
def test_the_first_word_that_differs(network8):
    made = _package(network8)
    images, start = random_images(CASE, 3), made.start()
    records = golden.run(made.program, made.weights, made.tables, images, start)
    assert first_difference(records, records.copy(), start) is None
    for word, name in ((isa.RECORD_HEADER - 1, list(isa.RECORD)[-1]), (isa.RECORD_HEADER + 1, "trace of gate 1")):
        other = records.copy()
        other[1, word] ^= 4
        other[2, 0] += 1
        found = first_difference(records, other, start)
        assert (found.image, found.word, found.name, found.images) == (1, word, name, 2)
        assert found.found == found.expected ^ 4 and f"image 1, word {word} ({name})" in str(found)
    assert name_of(isa.RECORD_HEADER + start.gates + 2, start) == "logit 2"


def test_a_package_of_another_source_is_refused(network8):
    made = _package(network8)
    assert check_made(made, lower(network8), "net.pt") == 0
    one = replace(made, weights=made.weights.copy())
    one.weights[1000] ^= 1
    assert 0 < check_made(one, lower(network8), "net.pt") < 0.001
    other = lower(quantised(replace(CASE, seed=5), random_images(CASE, 24, 7)))
    with pytest.raises(UserError, match=r"of the weights of net are not those that net\.pt gives: give the source"):
        check_made(made, other, "net.pt")
    with pytest.raises(UserError, match="another program than"):
        check_made(made, lower(quantised(VARIANTS["plain"], random_images(VARIANTS["plain"], 8))), "net.pt")


# --------------------------------------------------------------------------------------------------- the command line
@pytest.fixture
def job(network8, monkeypatch):
    """A job in place of a source that is read, and the golden model in place of an engine."""
    split = split_of(CASE, random_images(CASE, 48, 7))
    source = Source("net", "noise", CASE.mean, CASE.std, tuple("ab"[: CASE.classes]) or ("a",), {})
    monkeypatch.setattr(
        command, "_job", lambda arguments: command.Job(folded(CASE), source, Parts(split, split, "test"))
    )
    return split, source


def run(capsys, *argv):
    code = command.main(["check", *map(str, argv)])
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1 and "Traceback" not in err
    return code, out, err


@pytest.fixture
def made(job, tmp_path):
    """A package of that job, and a file beside it that stands for its source."""
    split, _ = job
    network8 = in_integers(folded(CASE), argparse.Namespace(mean=CASE.mean, std=CASE.std), Parts(split, split, "test"))
    package.write(tmp_path / "net.npz", _package(network8))
    (tmp_path / "net.pt").write_bytes(b"")
    return tmp_path / "net.npz"


def test_the_command(made, capsys, tmp_path):
    files = ["--json", tmp_path / "c.json", "--picture", tmp_path / "c.svg"]
    code, out, err = run(capsys, made, "--backend", "golden", "--images", 6, *files)
    assert (code, err) == (0, "") and "every word of their records is equal" in out
    assert f"its weights are those of {made.with_suffix('.pt')}" in out
    values = json.loads((tmp_path / "c.json").read_text())
    assert values["images"] == 6 and len(values["layers"]) > 8 and values["records"]["images"] == 6
    texts = "".join(ElementTree.fromstring((tmp_path / "c.svg").read_text()).itertext())
    assert all(f"{layer['name']}: cosine" in texts for layer in values["layers"])


def test_an_engine_that_is_wrong_is_a_fault(made, capsys, monkeypatch):
    class Wrong(Golden):
        title = "a board"

        def run(self, package, images, start, history=None):
            records = super().run(package, images, start, history)
            records[2, isa.RECORD.index("label")] += 1
            return records

    monkeypatch.setattr(checking, "open_backend", lambda *arguments: Wrong())
    code, out, err = run(capsys, made, "--images", 4)
    word = isa.RECORD.index("label")
    assert code == 3 and f"a board and the golden model differ, image 2, word {word} (label)" in err
    assert "image 2, word" in out


def test_bad_input(made, capsys, tmp_path):
    made.with_suffix(".pt").unlink()
    code, _, err = run(capsys, made)
    assert code == 2 and "give --source, the file that it was made of" in err
    code, _, err = run(capsys, made, "--picture", tmp_path / "c.png")
    assert code == 2 and "another ending than .svg" in err
    code, _, err = run(capsys, tmp_path / "none.npz", "--source", made)
    assert code == 2 and "cannot be read" in err
    code, _, err = run(capsys, made, "--source", made, "--backend", "fpga")
    assert code == 2 and "unknown backend 'fpga'" in err
    code, _, err = run(capsys, made, "--source", made, "--mean", "0,0,0")
    assert code == 2 and "--mean changes nothing of" in err


def test_a_package_is_read_as_it_was_exported(network8):
    """Options of the export follow from the package: its data set, its name as an architecture, exits of an import."""
    made, options = _package(network8), {"data": "D", "mean": None, "std": None, "shortcut": None, "arch": None}
    given = argparse.Namespace(**options)

    def asked(training, source, **changes):
        package = replace(made, meta={**made.meta, "training": training})
        return checking.as_export(package, Path(source), argparse.Namespace(**{**vars(given), **changes}))

    trained = asked({}, "model.pt")
    assert (trained.checkpoint, trained.weights, trained.exits) == (Path("model.pt"), None, None)
    imported = asked({"imported": "n.onnx"}, "n.onnx", mean=[0.5] * 3)
    assert (imported.exits, imported.dataset, imported.mean) == ("auto", "noise", [0.5] * 3)
    published = asked({"published": "r.th"}, "r.th", shortcut="behind")
    assert (published.weights, published.checkpoint, published.shortcut) == (Path("r.th"), None, "behind")
    assert published.arch == made.meta["architecture"]
    with pytest.raises(UserError, match="--arch changes nothing of"):
        asked({"imported": "n.onnx"}, "n.onnx", arch="resnet20")
