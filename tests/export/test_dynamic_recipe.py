"""A recipe for somebody's network (export/dynamic.py): it trains, exports and runs, with nothing else kept."""

import json

import numpy as np
import onnx
import pytest
import torch

from bench.networks.onnx_writer import Writer, cifar_resnet, vgg
from data import shapes
from export import __main__ as export
from export.onnx_reader.module import to_onnx
from hls import golden, isa
from hls.package import read
from hls.record import decode
from tests.export.onnx_reader.modules import BasicBlock, ResNet, liven
from training import __main__ as command
from training import published, recipe
from training.checkpoint import load_model, read_checkpoint
from training.network import Network
from training.units import ResidualUnit

CLASSES = 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of drawn shapes, 16 a class."""
    folder = tmp_path_factory.mktemp("pictures") / "shapes"
    shapes.folder(folder, 16, side=16)
    return folder


def saved(writer, v, path):
    """The path, an ONNX file of the Writer there with a last layer behind `v`."""
    writer.gemm(v, CLASSES)
    onnx.save(writer.model(), path)
    return path


def small_resnet(path):
    """Three blocks on 16 × 16 pixels."""
    return saved(*cifar_resnet(8, 16), path)


def run(main, capsys, *argv):
    code = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, [line for line in err.splitlines() if line.startswith(("training", "error"))]


def way(model, pictures, capsys, *options):
    """(the recipe, its Dynamic, the package) after a few steps and export; the ONNX file is gone by then."""
    toml, out = model.with_name("mine.toml"), model.with_name("run")
    given = ["--data", f"shapes={pictures}", "--threads", 1]
    code, told, _ = run(command.main, capsys, "dynamic", model, "-o", toml, "--epochs", 1, *given, *options)
    assert code == 0 and f"wrote {toml} and {model.with_name('mine.pt')}" in told
    model.unlink()
    plan = recipe.read(toml)
    code, told, err = run(command.main, capsys, toml, "--out", out, *given)
    assert (code, err) == (0, [])
    model.with_name("mine.pt").unlink()
    code, _, err = run(export.main, capsys, out / "model.pt", "-o", model.with_name("mine.npz"), *given)
    assert (code, err) == (0, [])
    state = read_checkpoint(out / "model.pt")
    return plan, load_model(state, CLASSES, 3, (16, 16)), read(model.with_name("mine.npz"))


def assert_runs(package, model):
    """The engine's golden model leaves at every exit, and counts what training counts with all gates open."""
    image = np.random.default_rng(0).integers(0, 256, (1, *package.image_shape), np.uint8)
    arrays = package.program, package.weights, package.tables
    for number, item in enumerate(package.exits):
        start = package.start(budget_flops=item["flops"])
        found = decode(golden.run(*arrays, image, start), start)
        assert found.status[0] == isa.STATUS_OK and found.exit[0] >= number and found.flops[0] <= item["flops"]
    full = float(model.backbone.cost((16, 16))) + sum(
        gate.cost(place.size)
        for unit, place in enumerate(model.backbone.places((16, 16)))
        for gate in (layer for layer in (model.gates_of(unit)[0], *(g.gate for g in model.gates_of(unit)[1])) if layer)
    )
    kept = package.exits[-2]["classifier_flops"] if len(package.exits) > 1 else 0  # that it could stop at, to the end
    assert package.exits[-1]["flops"] == full + kept


def test_a_residual_network(pictures, tmp_path, capsys):
    plan, model, package = way(small_resnet(tmp_path / "net.onnx"), pictures, capsys, "--mean", "0.4,0.5,0.6")
    assert [phase.name for phase in plan.phases] == ["exits", "gates"] and plan.mean == (0.4, 0.5, 0.6)
    assert set(model.layer_gates) == set(model.channel_gates) == {"0", "1", "2"}  # a block a stage: no other is there
    assert len(package.gates and package.meta["gates"]) == 3 and len(package.exits) == len(model.exits) + 1
    assert package.meta["input"]["mean"] == [0.4, 0.5, 0.6] and package.own_images["size"] == [16, 16]
    assert_runs(package, model)


def test_no_residual_blocks(pictures, tmp_path, capsys):
    plan, model, package = way(saved(*vgg(16), tmp_path / "net.onnx"), pictures, capsys)
    assert [phase.name for phase in plan.phases] == ["exits"] and not model.gates() and len(package.exits) > 1


def test_exits_leave_the_network_as_it_is(pictures, tmp_path, capsys):
    """The first phase trains exits alone: the weights are still those of the file."""
    net = small_resnet(tmp_path / "net.onnx")
    weights = {len(tensor.dims): tensor for tensor in onnx.load(net).graph.initializer}
    given = ["--data", f"shapes={pictures}", "--threads", 1]
    run(command.main, capsys, "dynamic", net, "-o", tmp_path / "mine.toml", "--epochs", 1, "--static", *given)
    kept = torch.load(tmp_path / "mine.pt", weights_only=True)
    plan = recipe.read(tmp_path / "mine.toml")
    assert [phase.train for phase in plan.phases] == [("exits",)] and not plan.network.layer_gates and weights
    run(command.main, capsys, tmp_path / "mine.toml", "--out", tmp_path / "run", *given)
    after = read_checkpoint(tmp_path / "run" / "model.pt")["model"]
    for name, value in kept["backbone"].items():
        torch.testing.assert_close(after[f"backbone.{name}"], value, rtol=0, atol=0)


def test_a_module_of_torch(pictures, tmp_path, capsys):
    """torch.export → ONNX → a recipe whose projections are no blocks that may be skipped."""
    torch.manual_seed(0)
    model = liven(ResNet(BasicBlock, (2, 1), 4, CLASSES))
    onnx.save(to_onnx(model, torch.zeros(1, 3, 16, 16)), tmp_path / "net.onnx")
    plan, model, package = way(tmp_path / "net.onnx", pictures, capsys)
    assert plan.network.layer_gates["base"] == 1 and set(model.layer_gates) == {"1"}
    assert len(package.meta["gates"]) == 1


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    "make, options, expected",
    [
        (small_resnet, ["-o", "{}/mine.txt"], "expected a file .toml"),
        (small_resnet, ["-o", "{}/taken.toml"], "taken.pt is there already"),
        (lambda path: path, ["-o", "{}/mine.toml"], "expected an ONNX model"),
        (lambda path: saved(*cifar_resnet(8, 300), path), ["-o", "{}/mine.toml"], "1 to 256 pixels"),
    ],
)
def test_one_line_and_nothing_written(make, options, expected, pictures, tmp_path, capsys):
    (tmp_path / "taken.pt").write_bytes(b"")
    before = {path.name for path in tmp_path.iterdir()} | {"net.onnx"}
    model = make(tmp_path / "net.onnx")
    words = [word.format(tmp_path) for word in options]
    code, out, err = run(command.main, capsys, "dynamic", model, "--data", pictures, *words)
    assert code == 2 and out == "" and len(err) == 1 and expected in err[0]
    assert {path.name for path in tmp_path.iterdir()} | {"net.onnx"} == before


def test_a_network_that_has_no_place(pictures, tmp_path, capsys):
    writer = Writer(size=(8, 8))
    model = saved(writer, writer.mean(writer.conv("image", 4, 3)), tmp_path / "net.onnx")
    code, _, err = run(command.main, capsys, "dynamic", model, "--data", pictures, "-o", tmp_path / "mine.toml")
    assert code == 2 and "no place where one map alone is read" in err[0]


def test_weights_of_another_network_are_refused(tmp_path):
    layer = {"op": "convolution", "channels": 4, "kernel": 3}
    lists = {"stem": [layer], "units": [[layer]], "head": [{"op": "mean"}, {"op": "linear", "channels": 3}]}
    backbone = Network({"kind": "layers", "name": "n", **lists}).build(3).backbone
    (tmp_path / "w.pt").write_bytes(published.encoded(backbone))
    again = Network({"kind": "layers", "name": "n", **lists}).build(3).backbone
    published.fill(again, tmp_path / "w.pt")
    for one, other in zip(backbone.parameters(), again.parameters()):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    other = Network({"kind": "layers", "name": "n", **lists, "units": [[layer], [layer]]}).build(3).backbone
    for wrong in (other, ResidualUnit(4, 4)):
        with pytest.raises(published.UserError, match="another network than the recipe's"):
            published.fill(wrong, tmp_path / "w.pt")


@pytest.mark.parametrize("line", ["mean = [0.5]", "mean = [0.5]\nstd = [0]", 'mean = ["a"]\nstd = [1]'])
def test_a_normalisation_that_is_none(line):
    text = f'name = "n"\ndataset = "cifar10"\n{line}\n[network.backbone]\nkind = "resnet"\ndepth = 8\n'
    phase = '[[phases]]\nname = "p"\nsteps = 1\nlr = 0.1\nterms.classification = {}\n'
    with pytest.raises(recipe.RecipeError, match="expected a number a channel"):
        recipe.parse(text + phase)


def test_recipes_are_kept_as_json_would(pictures, tmp_path, capsys):
    """Names with quotes and other scripts stay what they are."""
    model = small_resnet(tmp_path / 'n"é.onnx')
    run(command.main, capsys, "dynamic", model, "--data", f"ä b={pictures}", "-o", tmp_path / 'm"y.toml', "--epochs", 1)
    plan = recipe.read(tmp_path / 'm"y.toml')
    assert (plan.name, plan.dataset) == ('m"y', "ä b") and plan.network.backbone["name"] == 'n"é'
    assert json.dumps(plan.to_dict())
