"""The command on an ONNX file: a package, its accuracy, exits of its own, one line for bad input."""

import numpy as np
import onnx
import pytest
import torch

from bench.networks.onnx_writer import Writer, run_onnx
from data import datasets
from export import __main__ as command
from export import measure as measuring
from export.onnx_reader import files, reading
from export.onnx_reader.exits import with_exits
from export.onnx_reader.reading import read
from hls import package
from training.data import Split

MEAN, STD = (0.5,) * 3, (0.25,) * 3


def striped(count, seed):
    """Images whose class is how their stripes lie: (N, 16, 16, 3) uint8 and (N,) labels below 10."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    y, x = np.mgrid[:16, :16] / 16
    waves = [np.sin(2 * np.pi * (1 + k % 5) * (y if k < 5 else x)) for k in range(10)]
    pixels = 128 + 60 * np.stack(waves)[labels][..., None] + rng.normal(0, 12, (count, 16, 16, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.uint8)


def split(count, seed):
    """A Split of striped images."""
    return Split.from_arrays(*striped(count, seed), MEAN, STD, 10)


def residual(classes=10):
    """A Writer with three residual blocks, its last layer fitted to the stripes."""
    writer = Writer(seed=3)
    x = writer.relu(writer.conv("image", 12, 3))
    for _ in range(3):
        y = writer.conv(writer.relu(writer.conv(x, 12, 3)), 12, 3)
        x = writer.relu(writer.add(y, x))
    return writer, x


def fitted():
    """The ModelProto of `residual`, with a Gemm that tells the stripes apart."""
    writer, x = residual()
    v = writer.mean(x)
    train = split(600, 0)
    features = run_onnx(writer.model(), train.normalise(train.images).contiguous().numpy())
    wanted = np.eye(10)[train.labels.numpy()]
    weight, *_ = np.linalg.lstsq(np.c_[features, np.ones(len(features))], wanted, rcond=None)
    operands = [v, writer.constant(weight[:-1].astype(np.float32)), writer.constant(weight[-1].astype(np.float32))]
    writer.node("Gemm", operands, (10,))
    return writer.model()


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Stripes in place of a data set, and integers in place of the engine."""
    splits = [split(count, seed) for count, seed in ((400, 1), (1, 2), (200, 3))]
    monkeypatch.setattr(Split, "load", classmethod(lambda cls, *arguments: splits))
    monkeypatch.setattr(measuring, "_has_compiler", lambda: False)


@pytest.fixture
def model(tmp_path):
    """A model.onnx that tells the stripes apart."""
    onnx.save(fitted(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def arguments(model, *more):
    """A command line."""
    given = [f"--mean={','.join(map(str, MEAN))}", f"--std={','.join(map(str, STD))}", "--dataset", "cifar10"]
    return [str(model), "-o", str(model.with_name("p.npz")), *given, "--images", "200", *more]


def test_a_file_becomes_a_package(model, capsys):
    assert command.main(arguments(model, "--onnx", str(model.with_name("out.onnx")))) == 0
    found = package.read(model.with_name("p.npz"))
    accuracy = found.meta["accuracy"]
    assert found.meta["architecture"] == "model" and found.meta["training"] == {"imported": "model.onnx"}
    assert accuracy["float"][0] > 0.9 and abs(accuracy["int8"][0] - accuracy["float"][0]) <= 0.02
    assert accuracy["split"] == "test" and "model on cifar10" in capsys.readouterr().out
    images, _ = striped(5, 9)
    x = ((images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25).astype(np.float32)
    written = onnx.load(model.with_name("out.onnx"))
    np.testing.assert_allclose(run_onnx(written, x), run_onnx(onnx.load(model), x), atol=1e-4)


def test_statistics_of_another_kind_are_warned_of(model, capsys):
    """In 0 … 255 the network sees next to nothing: it runs, and is wrong."""
    scaled = [",".join(str(255 * value) for value in values) for values in (MEAN, STD)]
    assert command.main([*arguments(model), "--mean", scaled[0], "--std", scaled[1]]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert "out of range for pixels in [0, 1]" in first and "--mean 0.5,0.5,0.5 --std 0.25,0.25,0.25" in first
    assert "with --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25" in second


def test_a_network_that_knows_no_image_is_warned_of_once(tmp_path, capsys):
    """No reading does better, and the figures measured say nothing more."""
    network = fitted()
    weight = next(part for part in network.graph.initializer if part.name == network.graph.node[-1].input[1])
    weight.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(network, tmp_path / "model.onnx")
    assert command.main(arguments(tmp_path / "model.onnx")) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "few for images that a network has learnt: check --mean, --std" in line


def test_another_reading_that_does_better_is_named(model, capsys):
    """The statistics of the data set, where others were given; nothing where the reading is right."""
    assert command.main([*arguments(model), "--mean", "0,0,0", "--std", "1,1,1"]) == 0
    assert "with --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25" in capsys.readouterr().err
    assert command.main(arguments(model)) == 0
    assert not capsys.readouterr().err


def test_exits_of_its_own(model):
    assert command.main(arguments(model, "--exits", "auto")) == 0
    found = package.read(model.with_name("p.npz"))
    flops, accuracy = [item["flops"] for item in found.exits], found.meta["accuracy"]
    assert len(found.exits) == 3 and flops == sorted(flops) and flops[0] < 0.6 * flops[-1]
    assert min(accuracy["float"]) > 0.6 and np.abs(np.subtract(accuracy["float"], accuracy["int8"])).max() < 0.05


def test_exits_leave_the_network_as_it_is(model):
    network = read(model, MEAN, STD).network
    torch.manual_seed(0)
    more = with_exits(network, split(300, 4))
    assert [node for node in more.nodes if node.kind != "exit"] == network.nodes[:-1]
    assert more.exits[-1].logits is network.exits[-1].logits


def test_a_network_without_a_place_for_exits(tmp_path, capsys):
    writer = Writer()
    writer.gemm(writer.mean(writer.conv("image", 4, 3)), 10)
    onnx.save(writer.model(), tmp_path / "model.onnx")
    assert command.main(arguments(tmp_path / "model.onnx", "--exits", "auto")) == 2
    assert "no residual block" in capsys.readouterr().err


@pytest.mark.parametrize(
    "size, classes, text", [((20, 16), 10, "takes images of 3×20×16"), ((16, 16), 7, "has 7 classes")]
)
def test_data_of_another_kind_is_one_line(size, classes, text, tmp_path, capsys):
    writer = Writer(size=size)
    writer.gemm(writer.mean(writer.conv("image", 4, 3)), classes)
    onnx.save(writer.model(), tmp_path / "model.onnx")
    assert command.main(arguments(tmp_path / "model.onnx")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and text in error
    assert not (tmp_path / "p.npz").exists()


def test_a_damaged_file_is_one_line(tmp_path, capsys):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    assert command.main(arguments(tmp_path / "model.onnx")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_data_that_nobody_knows_needs_a_name(model, tmp_path, capsys):
    given = arguments(model)
    at = given.index("--dataset")
    assert command.main(given[:at] + given[at + 2 :] + ["--data", str(tmp_path)]) == 2
    assert "make a folder for each class" in capsys.readouterr().err


def test_exits_are_for_onnx_files_alone(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["model.pt", "-o", str(tmp_path / "p.npz"), "--exits", "auto"])
    assert "--exits is for an ONNX file" in capsys.readouterr().err


def test_a_file_is_read_once_and_no_data_set_is_opened_to_name_it(model, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(reading, "load", lambda path: opened.append(path) or files.load(path))
    monkeypatch.setattr(datasets, "load", lambda *what: pytest.fail(f"opened {what}"))
    (tmp_path / "test_batch").write_bytes(b"")
    given = arguments(model)
    at = given.index("--dataset")
    assert command.main(given[:at] + given[at + 2 :] + ["--data", str(tmp_path)]) == 0
    assert opened == [model] and "model on cifar10" in capsys.readouterr().out
