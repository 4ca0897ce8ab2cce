"""hls4ml's models on our engine: the same package as our own export makes, whatever the front end was."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

hls4ml = pytest.importorskip("hls4ml", reason="pip install -r requirements/hls4ml.txt")

import export
import export.with_hls4ml as bridge
from export import measure as measuring
from export.float_network import FloatNetwork
from export.with_hls4ml.packages import bench_data, imported, path_of, to_pixels
from hls.errors import UserError
from hls.package import read
from tests.export.onnx_reader.modules import liven
from tests.export.with_hls4ml.front_ends import channels_last_onnx, keras_network

ROOT = Path(__file__).resolve().parents[3]
MEAN, STD = 0.5, 0.25


class Residual(nn.Module):
    """What hls4ml knows of PyTorch and we do: batch norms, a sum, both pools, a Flatten of several pixels."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.relu, self.pool, self.average = nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2)
        self.flatten, self.fc = nn.Flatten(), nn.Linear(8 * 2 * 2, classes)

    def forward(self, x):
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.pool(self.relu(torch.add(x, self.norm2(self.conv2(x)))))
        return self.fc(self.flatten(self.average(x)))


def pictures(count=12, size=8, seed=0):
    """(pixels (N, H, W, 3) uint8, the same as a model takes them, (N, 3, H, W) float32)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    return pixels, ((pixels.transpose(0, 3, 1, 2) / 255 - MEAN) / STD).astype(np.float32)


def converted(module, tmp_path, shape=(3, 8, 8), data=None, **options):
    """hls4ml's model of a PyTorch module, on the backend DDI."""
    config = hls4ml.utils.config_from_pytorch_model(module, shape)
    given = {"mean": MEAN, "std": STD, "input_data_tb": pictures()[1] if data is None else data} | options
    convert = hls4ml.converters.convert_from_pytorch_model
    return convert(module, output_dir=str(tmp_path / "out"), backend="DDI", hls_config=config, **given)


@pytest.fixture
def no_engine(monkeypatch):
    """Accuracy by the integer model, so that no compiler is needed."""
    monkeypatch.setattr(measuring, "_has_compiler", lambda: False)


@pytest.mark.usefixtures("no_engine")
def test_the_package_is_that_of_our_own_export(tmp_path):
    module = liven(Residual())
    pixels, x = pictures()
    outputs = module(torch.from_numpy(x)).detach().numpy()
    model = converted(module, tmp_path, output_data_tb=outputs)
    model.write()
    found, data = read(path_of(model)), (pixels, outputs.argmax(1))
    ours = export.from_module(module, torch.zeros(1, 3, 8, 8), data, (MEAN,) * 3, (STD,) * 3)
    for name in ("program", "weights", "tables"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ours, name), err_msg=name)
    assert found.meta["accuracy"] == ours.meta["accuracy"] and found.meta["input"] == ours.meta["input"]


@pytest.mark.cosim
def test_compile_predict_and_build(tmp_path, capsys):
    module = liven(Residual())
    pixels, x = pictures()
    expected = module(torch.from_numpy(x)).detach().numpy()
    model = converted(module, tmp_path, output_data_tb=expected)
    with pytest.raises(UserError, match=r"not compiled: call compile\(\)"):
        model.predict(x)
    model.compile()
    found = model.predict(x)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    np.testing.assert_array_equal(found, model.predict(pixels.transpose(0, 3, 1, 2)))  # as pixels
    np.testing.assert_array_equal(found[3], model.predict(x[3]))  # of one image, as hls4ml has it
    capsys.readouterr()
    report = model.build(csim=True, synth=True)
    assert "synth: nothing to do" in capsys.readouterr().out
    np.testing.assert_array_equal(report["CSimResults"], found)
    end, told = read(path_of(model)).exits[-1], report["CSynthesisReport"]
    assert (told["BestLatency"], told["FLOPs"], told["Kind"]) == (end["cycles"], end["flops"], "modelled")
    with pytest.raises(UserError, match=r"build\(\) does not know speed: it takes csim, reset, synth"):
        model.build(speed=True)


def float_logits(model, x):
    """What the float network that was read answers to (N, C, H, W)."""
    return FloatNetwork(imported(model).network)(torch.from_numpy(x)).logits[-1].numpy()


def test_an_input_with_its_channels_last_already(tmp_path):
    """PyTorch with channels_last_conversion="internal": the weights turn, the input is taken as it comes."""
    module, (pixels, x) = liven(Residual()), pictures()
    config = hls4ml.utils.config_from_pytorch_model(module, (3, 8, 8), channels_last_conversion="internal")
    options = {"output_dir": str(tmp_path / "out"), "backend": "DDI", "hls_config": config, "mean": MEAN, "std": STD}
    model = hls4ml.converters.convert_from_pytorch_model(module, **options)
    np.testing.assert_array_equal(to_pixels(model, x.transpose(0, 2, 3, 1)), pixels)
    np.testing.assert_allclose(float_logits(model, x), module(torch.from_numpy(x)).detach().numpy(), atol=1e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # Keras's own
def test_keras(tmp_path, monkeypatch):
    """Channels last, padding as TensorFlow has it, a concatenation, a Softmax at the end."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras", reason="pip install -r requirements/hls4ml.txt")
    network, x = keras_network(), np.random.default_rng(0).random((6, 8, 8, 3)).astype(np.float32)
    config = hls4ml.utils.config_from_keras_model(network, granularity="name", backend="DDI")
    model = hls4ml.converters.convert_from_keras_model(
        network, output_dir=str(tmp_path / "out"), backend="DDI", hls_config=config, allow_da_fallback=False
    )
    logits = float_logits(model, x.transpose(0, 3, 1, 2))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    expected = np.asarray(network.predict(x, verbose=0))
    np.testing.assert_allclose(shares / shares.sum(1, keepdims=True), expected, atol=1e-5)


def test_onnx(tmp_path):
    """As qonnx leaves a model for hls4ml: channels last, by nodes of its own domain."""
    proto, expected, x = channels_last_onnx()
    model = hls4ml.converters.convert_from_onnx_model(
        proto, output_dir=str(tmp_path / "out"), backend="DDI", hls_config=hls4ml.utils.config_from_onnx_model(proto)
    )
    np.testing.assert_allclose(float_logits(model, x), expected, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- registration
def test_hls4ml_knows_it_once():
    assert "ddi" in hls4ml.backends.get_available_backends()
    bridge.register(hls4ml.backends.register_backend, None)  # as hls4ml would call it again
    assert hls4ml.backends.get_available_backends().count("ddi") == 1


def test_the_entry_point_is_what_hls4ml_calls():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, name = project["entry-points"]["hls4ml.backends"]["DDI"].split(":")
    assert getattr(importlib.import_module(module), name) is bridge.register


def test_hls4ml_finds_it_by_its_variable():
    """In a Python that has imported nothing of ours, and without PyTorch for that."""
    code = "import sys, hls4ml.backends as b; print('ddi' in b.get_available_backends(), 'export.build' in sys.modules)"
    environment = {**os.environ, "HLS4ML_BACKEND_PLUGINS": "export.with_hls4ml", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


# -------------------------------------------------------------------------------------------------------- bad input
def one_line(raised):
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "layers, message",
    [
        (
            [nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(144, 2)],
            r"_1 \(Activation\): the activation sigmoid",
        ),
        (
            [nn.Conv2d(3, 4, 3), nn.LeakyReLU(), nn.Flatten(), nn.Linear(144, 2)],
            r"the activation leakyrelu 0.01 is not",
        ),
        (
            [nn.Conv2d(3, 4, 3), nn.Linear(6, 2)],
            r"\(Dense\): a Dense on a map is not supported: .* a Flatten before it",
        ),
        (
            [nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2), nn.Flatten()],
            r"the layer Resize is not supported: the near",
        ),
    ],
)
def test_a_layer_that_is_not_supported_is_named_when_it_is_converted(layers, message, tmp_path):
    module = nn.Sequential(*layers).eval()
    with pytest.raises(UserError, match=message) as raised:
        converted(nn.Sequential(*module), tmp_path)
    one_line(raised)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"input_data_tb": None}, r"no data to calibrate on: give input_data_tb \(InputData\)"),
        ({"input_data_tb": "none.npy"}, r"InputData none.npy cannot be read \(.*\): expected .npy, or .dat"),
        ({"input_data_tb": np.zeros((4, 5))}, r"the input is float64 \(4, 5\), expected numbers \(N, 3, 8, 8\)"),
        ({"input_data_tb": np.zeros((1, 3, 8, 8))}, r"data has uint8 \(1, 8, 8, 3\) and 1 labels: .* 2 or more"),
        (
            {"input_data_tb": np.full((4, 3, 8, 8), 7.0)},
            r"values from 7 to 7, beyond pixels / 255 .*: give the model's own",
        ),
        ({"input_data_tb": np.full((4, 3, 8, 8), np.nan)}, r"values from nan to nan.*give numbers that are finite"),
        ({"output_data_tb": np.zeros(3)}, r"OutputPredictions has 3 entries, InputData 12: give one for each image"),
        ({"output_data_tb": np.arange(12)}, r"labels from 0 to \d+ with 5 classes: expected 0 to 4"),
        ({"classes": ("a", "b")}, r"labels from \d+ to \d+ with 2 classes: expected 0 to 1"),
    ],
)
@pytest.mark.usefixtures("no_engine")
def test_data_that_cannot_be_used_is_one_line(options, message, tmp_path):
    model = converted(Residual().eval(), tmp_path, **options) if "input_data_tb" not in options else converted(
        Residual().eval(), tmp_path, **{"data": 0} | options
    )  # fmt: skip
    with pytest.raises(UserError, match=message) as raised:
        model.write()
    one_line(raised)
    assert not path_of(model).exists()


def test_data_comes_from_an_array_or_a_file(tmp_path):
    """The same pixels of an array, of .npy, and of .dat as hls4ml writes it, one image a line."""
    pixels, x = pictures()
    np.save(tmp_path / "x.npy", x)
    np.savetxt(tmp_path / "x.dat", x.reshape(len(x), -1))
    for data in (x, str(tmp_path / "x.npy"), str(tmp_path / "x.dat")):
        model = converted(Residual().eval(), tmp_path, data=data)
        np.testing.assert_array_equal(to_pixels(model, bench_data(model, "InputData")), pixels)


def test_the_remedy_for_other_values_works(tmp_path):
    x = np.linspace(-3, 40, 4 * 192).reshape(4, 3, 8, 8)
    with pytest.raises(UserError) as raised:
        to_pixels(converted(Residual().eval(), tmp_path), x)
    mean, std = (float(str(raised.value).split(f"{key}=")[1].split()[0].rstrip(",")) for key in ("mean", "std"))
    pixels = to_pixels(converted(Residual().eval(), tmp_path, mean=mean, std=std), x)
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"io_type": "io_stream"}, r"does not know io_type='io_stream': its own are mean, std, classes, clock_period"),
        ({"mean": (0.5, 0.5)}, r"mean is \[0.5, 0.5\], expected one number, or 3, one a channel"),
        ({"std": 0}, r"std is \[0.0\], expected one number"),
    ],
)
def test_options_that_are_not_understood_are_one_line(options, message, tmp_path):
    with pytest.raises(UserError, match=message) as raised:
        converted(Residual().eval(), tmp_path, **options)
    one_line(raised)


def test_a_precision_is_told_to_be_unused(tmp_path):
    module = Residual().eval()
    config = hls4ml.utils.config_from_pytorch_model(module, (3, 8, 8), default_precision="ap_fixed<8,3>")
    options = {"output_dir": str(tmp_path / "out"), "backend": "DDI", "hls_config": config}
    with pytest.warns(UserWarning, match=r"precision ap_fixed<8,3> is not used: the engine has int8"):
        hls4ml.converters.convert_from_pytorch_model(module, **options)


def test_the_page_shows_what_its_example_prints(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "hls4ml.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    shown = page.split("```\n[[")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(example, "docs/hls4ml.md", "exec"), {})
    printed = capsys.readouterr().out.split("[[")[-1]
    assert printed.split() == shown.split()

    package = read(tmp_path / "out" / "tiny.npz")
    layers = len(importlib.import_module("export.with_hls4ml.project").write_project(package, "project").graph)
    assert f"project: hls4ml project of {layers} layers, the static part of tiny" in page
