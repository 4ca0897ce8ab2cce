"""Files of weights as they come: damaged, of other formats, of other networks, wrapped and named in other ways.

What cannot be used ends `python -m export` in one line that names the tensor, the class or the network. What can is
read: these cases recover, and the weights are those that were saved. See bench/fault_cases/__init__.py for what
surviving means.
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import re
import struct
import tempfile
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.fault_cases import Case, Outcome
from export.__main__ import main
from hls.errors import UserError
from training import published
from training.backbones.resnet import resnet

ARCH = "resnet8"
DEADLINE_S = 60.0


def network(**options):
    """{usual name: tensor} of a ResNet-8 whose batch norms are no identities, as a publication has it."""
    torch.manual_seed(7)
    backbone = resnet(10, 8, **options)
    for value in backbone.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return {published.usual(name, [1, 1, 1]): value for name, value in backbone.state_dict().items()}


def healthy(folder):
    """Whether a good file is read."""
    path = folder / "healthy.pt"
    torch.save(network(), path)
    with contextlib.suppress(UserError):
        return published.load(path, ARCH, 10) is not None
    return False


def refused(write, option="--weights"):
    """The Outcome of exporting what `write(path)` leaves at a path."""
    with tempfile.TemporaryDirectory() as name:
        path, before = Path(name) / "w.pt", len(os.listdir("/proc/self/fd"))
        with contextlib.suppress(TypeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(path)
        named = ["--arch", ARCH, "--weights", str(path), "--dataset", "cifar10"]
        arguments = named if option == "--weights" else [str(path)]
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(err):
            code = main([*arguments, "-o", str(Path(name) / "p.npz")])
        written = (Path(name) / "p.npz").exists()
        held = len(os.listdir("/proc/self/fd")) - before
        return Outcome(err.getvalue().strip(), code, held + written, healthy(Path(name)))


def taken(write, weights):
    """The Outcome of reading what `write(weights, path)` leaves: the network that `weights` are of."""
    with tempfile.TemporaryDirectory() as name:
        path, before = Path(name) / "w.pt", len(os.listdir("/proc/self/fd"))
        write(weights, path)
        try:
            backbone = published.load(path, ARCH, 10)
        except UserError as error:
            return Outcome(str(error), 2, 0, False)
        held = len(os.listdir("/proc/self/fd")) - before
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        path = Path(name) / "plain.pt"
        torch.save(weights, path)
        with torch.no_grad():
            same = torch.allclose(backbone(images), published.load(path, ARCH, 10)(images), rtol=1e-3, atol=1e-3)
        return Outcome(f"read as {backbone.name}", 0, held, same and healthy(Path(name)))


# ------------------------------------------------------------------------------------------------- of other formats
def zipped(*names):
    """A writer of a zip with files of these names."""

    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")

    return write


def torchscript(path):
    """A compiled module."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def cut(path, share=0.6, **options):
    """A download that broke off."""
    torch.save(network(), path, **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def safetensors(weights, path):
    """huggingface/safetensors' format."""
    header, data = {}, b""
    for name, value in weights.items():
        raw = value.detach().float().numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def arrays(weights, path):
    """NumPy's .npz."""
    with path.open("wb") as handle:
        np.savez(handle, **{name: value.numpy() for name, value in weights.items()})


def objects(path):
    """An .npz that needs pickle."""
    with path.open("wb") as handle:
        np.savez(handle, a=np.array([{}], dtype=object))


FORMATS = {
    "no file": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": cut,
    "cut short, before 1.6": partial(cut, _use_new_zipfile_serialization=False),
    "cut short, safetensors": lambda path: (safetensors(network(), path), os.truncate(path, 100_000)),
    "noise": lambda path: path.write_bytes(bytes(range(128, 256)) * 8),
    "HDF5": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
    "Keras": zipped("config.json", "model.weights.h5"),
    "TensorFlow Lite": lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100)),
    "another zip": zipped("r20/model.py", "r20/README.md"),
    "TorchScript": torchscript,
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"a": np.zeros(3)})),
    "an .npy": lambda path: path.write_bytes(b"\x93NUMPY\x01\0" + bytes(100)),
    "an .npz of objects": objects,
    "a web page": lambda path: path.write_bytes(b"<!DOCTYPE html><html></html>"),
    "Git LFS": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "a whole model": partial(torch.save, torch.nn.Linear(2, 2)),
    "a list": partial(torch.save, [1, 2]),
    "no weights": partial(torch.save, {"epoch": 3}),
}


# ------------------------------------------------------------------------------------------------ of other networks
def changed(**changes):
    """A writer of a network some of whose tensors are others, None for gone; _ stands for a dot."""
    weights = network()
    for name, change in changes.items():
        name = name.replace("_", ".").replace("running.", "running_")
        value = change(weights.get(name)) if callable(change) else change
        weights = {key: other for key, other in weights.items() if key != name} | (
            {} if value is None else {name: value}
        )
    return partial(torch.save, weights)


def shapes(**given):
    """A writer of convolutions of given shapes."""
    return partial(
        torch.save, {f"{name.replace('_', '.')}.weight": torch.zeros(shape) for name, shape in given.items()}
    )


def quantised(value):
    """int8, as torch.quantize_per_tensor leaves it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(value, 0.01, 0, torch.qint8)


STAGES = {f"layer{stage}_0_conv{n}": (8 << stage, 8, 3, 3) for stage in (1, 2, 3, 4) for n in (1, 2)}
BOTTLENECKS = {f"layer{stage}_0_conv{n}": (16, 16, k, k) for stage in (1, 2, 3) for n, k in ((1, 1), (2, 3), (3, 1))}
NETWORKS = {
    "quantised weights": changed(layer1_0_conv2_weight=quantised),
    "weights on the meta device": changed(conv1_weight=lambda value: value.to("meta")),
    "sparse weights": changed(linear_weight=lambda value: value.to_sparse()),
    "weights in integers": changed(conv1_weight=lambda value: value.to(torch.int8)),
    "another number of classes": changed(linear_weight=torch.zeros(100, 64), linear_bias=torch.zeros(100)),
    "a tensor missing": changed(layer2_0_bn1_running_var=None),
    "a tensor too many": changed(layer1_0_attention_weight=torch.zeros(1)),
    "a tensor by two names": changed(fc_weight=torch.zeros(10, 64)),
    "another depth": lambda path: torch.save(_deeper(), path),
    "four stages": shapes(conv1=(16, 3, 3, 3), **STAGES),
    "bottlenecks": shapes(conv1=(16, 3, 3, 3), **BOTTLENECKS),
    "a stem for large images": shapes(conv1=(16, 3, 7, 7), **{k: v for k, v in STAGES.items() if k[5] != "4"}),
    "thinned": changed(layer2_0_conv1_weight=lambda value: value[:20]),
    "VGG": shapes(features_0=(64, 3, 3, 3)),
    "DenseNet": shapes(features_denseblock1_denselayer1_conv1=(64, 3, 3, 3)),
    "Keras's names": partial(torch.save, {"conv2d/kernel:0": torch.zeros(3, 3, 3, 16)}),
    "several networks": partial(torch.save, {"student": network(), "teacher": network()}),
    "our own": partial(torch.save, {"model": {"backbone.stem.conv.weight": torch.zeros(16, 3, 3, 3)}}),
}


def _deeper():
    weights = network()
    second = {
        key.replace("layer1.0.", "layer1.1."): value for key, value in weights.items() if key.startswith("layer1.0.")
    }
    return weights | second


OWN = {  # given as the CHECKPOINT of python -m training
    "published weights": partial(torch.save, network()),
    "our own, on the meta device": partial(
        torch.save, {"recipe": {}, "pruned": [], "model": {"backbone.stem.conv.weight": torch.zeros(3, device="meta")}}
    ),
    "our own, with an unknown recipe": partial(torch.save, {"recipe": {"colour": "blue"}, "pruned": [], "model": {}}),
    "our own, cut short": cut,
}


# ----------------------------------------------------------------------------------------------- by other names
def wrapped(*words):
    """A writer that puts dicts around the weights, or, for a word that ends in a dot, a prefix before each name."""

    def write(weights, path):
        for word in words:
            names = {f"{word}{name}": value for name, value in weights.items()}
            weights = names if word.endswith(".") else {word: weights}
        torch.save(weights | {"epoch": 3}, path)

    return write


def renamed(pattern, word):
    """A writer of other names."""
    return lambda weights, path: torch.save(
        {re.sub(pattern, word, name): value for name, value in weights.items()}, path
    )


def with_options(weights, path):
    """NumPy's numbers and a list of options beside the weights."""
    beside = {"best": np.float64(91.7), "args": argparse.Namespace(lr=0.1), "curve": np.zeros(3)}
    torch.save({"state_dict": weights, **beside}, path)


def averaged(weights, path):
    """The average of a training's weights beside the last ones, with its counter."""
    last = {name: value + 1 for name, value in weights.items()}
    average = {"n_averaged": torch.tensor(7)} | {f"module.{name}": value for name, value in weights.items()}
    torch.save({"state_dict": last, "ema": average}, path)


def folded(weights, path):
    """Convolutions with the batch norms folded in."""
    found = {name: value for name, value in weights.items() if not re.search(r"bn\d\.", name)}
    for name in list(found):
        match = re.fullmatch(r"(.*)conv(\d)\.weight", name)
        if match:
            norm = f"{match[1]}bn{match[2]}"
            factor = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-5).sqrt()
            found[name] = found[name] * factor[:, None, None, None]
            found[f"{match[1]}conv{match[2]}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * factor
    torch.save(found, path)


READ = {
    "state_dict": wrapped("state_dict"),
    "model, state_dict": wrapped("state_dict", "model"),
    "model_state_dict of module.": wrapped("module.", "model_state_dict"),
    "_orig_mod. of module. of module.": wrapped("module.", "module.", "_orig_mod."),
    "net. in model. in checkpoint": wrapped("net.", "model.", "checkpoint"),
    "fc for linear": renamed(r"^linear", "fc"),
    "classifier for linear": renamed(r"^linear", "classifier"),
    "without counters": lambda weights, path: torch.save(
        {k: v for k, v in weights.items() if "tracked" not in k}, path
    ),
    "NumPy's numbers": with_options,
    "an average": averaged,
    "folded": folded,
    "safetensors": safetensors,
    ".npz": arrays,
}
CASES = (
    *(Case(name, partial(refused, write), DEADLINE_S) for name, write in (FORMATS | NETWORKS).items()),
    *(Case(name, partial(refused, write, "CHECKPOINT"), DEADLINE_S) for name, write in OWN.items()),
    *(Case(name, partial(taken, write, network()), DEADLINE_S, recovers=True) for name, write in READ.items()),
    Case(
        "downsample for shortcut",
        partial(taken, renamed(r"\.shortcut\.", ".downsample."), network(shortcut="conv")),
        DEADLINE_S,
        recovers=True,
    ),
)
