"""A ModelGraph of hls4ml as a package, and what the engine makes of hls4ml's inputs.

    package = package_of(model)         # read, calibrated and measured on InputData (input_data_tb)
    logits = predict(model, x)          # floats as the model takes them, or pixels

The test bench's inputs calibrate, for they are the data that hls4ml asks for. Its outputs, where given, are what the
accuracy counts as right; without them that is what the float model itself answers.
"""

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from onnxscript import rewriter

from export.float_network import FloatNetwork
from export.onnx_reader.module import arrays, packaged
from export.onnx_reader.reading import read
from export.with_hls4ml.layers import FIRST, channels_of, onnx_of
from hls import cosim
from hls.errors import UserError
from hls.package import read as read_package
from hls.record import decode

USUAL = "fixed<16,6>"  # the precision that hls4ml gives where nobody has asked for one
HALF = 0.5 / 255  # of a pixel's step


def path_of(model):
    """Where the package of a ModelGraph stands."""
    return Path(model.config.get_output_dir()) / f"{model.config.get_project_name()}.npz"


def imported(model):
    """The onnx_reader Imported of a ModelGraph. Raises UserError.

    Batch norms are folded as torch's exporter folds them, so that both ways give the same bits.
    """
    proto = rewriter.rewrite(onnx_of(model))
    return read(proto, *_statistics(model), model.config.get_project_name())


def package_of(model):
    """The Package of a ModelGraph, on its test bench's data. Raises UserError."""
    found, pixels = imported(model), to_pixels(model, bench_data(model, "InputData"))
    answers, part = _labels(model, len(pixels)), "given"
    if answers is None:
        answers, part = _own_answers(found, pixels), "self-labelled"
    name, classes = model.config.get_project_name(), model.config.get_config_value("Classes")
    return packaged(found, *arrays((pixels, answers)), classes, name, f"hls4ml {name}", part)


def predict(model, x):
    """(N, classes) float32 of the engine's co-simulation, (classes,) of one image; probabilities behind a Softmax."""
    package, pixels = read_package(path_of(model)), to_pixels(model, x)
    start = package.start()
    results = decode(cosim.run(package.program, package.weights, package.tables, pixels, start), start)
    logits = results.logits * package.meta["steps"]["logits"]
    if _ends_in_softmax(model):
        logits = np.exp(logits - logits.max(1, keepdims=True))
        logits /= logits.sum(1, keepdims=True)
    logits = logits.astype(np.float32)
    return logits[0] if len(logits) == 1 else logits


def report(model, csim):
    """hls4ml's report of a package: cycles and FLOPs by the engine's own model of costs; CSimResults where `csim`."""
    package, period = read_package(path_of(model)), float(model.config.get_config_value("ClockPeriod"))
    end, accuracy = package.exits[-1], package.meta["accuracy"]
    found = {
        "Package": str(path_of(model)),
        "Accuracy": {"Float": accuracy["float"][-1], "Int8": accuracy["int8"][-1], "Images": accuracy["images"]},
        "CSynthesisReport": {
            "Kind": "modelled",
            "TargetClockPeriod": period,
            "BestLatency": end["cycles"],
            "WorstLatency": end["cycles"],
            "LatencyMilliseconds": end["cycles"] * period * 1e-6,
            "FLOPs": end["flops"],
            "WeightBytes": int(package.weights.size),
        },
    }
    return found | ({"CSimResults": predict(model, bench_data(model, "InputData"))} if csim else {})


def to_pixels(model, x):
    """(N, H, W, C) uint8 of a model's inputs: uint8 is pixels, floats are normalised as mean and std say. UserError.

    Values between two pixels are rounded.
    """
    order, shape = channels_of(model)
    x = np.asarray(x)
    if x.dtype.kind not in "uif" or not x.size or x.size % math.prod(shape):
        channels, *size = shape
        expected = (channels, *size) if order == FIRST else (*size, channels)
        raise UserError(f"the input is {x.dtype} {x.shape}, expected numbers (N, {', '.join(map(str, expected))})")
    channels, height, width = shape
    if order == FIRST:
        x = x.reshape(-1, *shape).transpose(0, 2, 3, 1)
    x = x.reshape(-1, height, width, channels)
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    mean, std = _statistics(model)
    unit = x * np.asarray(std) + np.asarray(mean)  # pixels in [0, 1]
    low, high = float(unit.min()), float(unit.max())
    if not (math.isfinite(low + high) and low > -HALF and high < 1 + HALF):
        found = f"the input has values from {float(x.min()):g} to {float(x.max()):g}"
        raise UserError(f"{found}, beyond pixels / 255 normalised by mean {mean}, std {std}: {_remedy(x)}")
    return np.round(unit * 255).clip(0, 255).astype(np.uint8)


def _remedy(x):
    """The mean and std by which pixels reach all values of x."""
    low, span = float(x.min()), float(x.max() - x.min()) or 1.0
    if not math.isfinite(low + span):
        return "give numbers that are finite"
    return f"give the model's own, or mean={-low / span:.6g}, std={1 / span:.6g} for 256 steps between these"


def warn_of_precisions(model):
    """A warning where a precision was asked for, which calibration finds here."""
    config, asked = model.config, set()
    for precisions in (config.model_precision, config.layer_type_precision, config.layer_name_precision):
        asked |= {str(value) for value in precisions.values()}
    asked = {value for value in asked if value.removeprefix("ap_") not in (USUAL, "auto", "None")}
    if asked:
        text = f"precision {', '.join(sorted(asked)[:3])} is not used: the engine has int8, its scales by calibration"
        warnings.warn(text, UserWarning, stacklevel=2)


def _statistics(model):
    """(mean, std), one number a channel."""
    channels = channels_of(model)[1][0]
    found = []
    for key in ("Mean", "Std"):
        values = np.ravel(np.asarray(model.config.get_config_value(key), np.float64))
        if len(values) not in (1, channels) or not np.isfinite(values).all() or (key == "Std" and values.min() <= 0):
            raise UserError(f"{key.lower()} is {values.tolist()}, expected one number, or {channels}, one a channel")
        found.append(tuple(np.broadcast_to(values, channels).tolist()))
    return found


def bench_data(model, key):
    """An array of the configuration, or of the file that it names. UserError."""
    value = model.config.get_config_value(key)
    if value is None:
        raise UserError("no data to calibrate on: give input_data_tb (InputData), 2 or more images, .npy or an array")
    if not isinstance(value, (str, Path)):
        return np.asarray(value)
    try:
        return np.load(value, allow_pickle=False) if str(value).endswith(".npy") else np.loadtxt(value, ndmin=2)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{key} {value} cannot be read ({error}): expected .npy, or .dat with one image a line"
        ) from None


def _labels(model, count):
    """(N,) right answers by OutputPredictions, labels or one row of outputs an image; None where it is not given."""
    if model.config.get_config_value("OutputPredictions") is None:
        return None
    found = bench_data(model, "OutputPredictions")
    found = found.argmax(1) if found.ndim == 2 and found.shape[1] > 1 else np.ravel(found)
    if len(found) != count:
        raise UserError(f"OutputPredictions has {len(found)} entries, InputData {count}: give one for each image")
    return found.astype(np.int64)


def _own_answers(found, pixels):
    """What the float network itself answers, (N,)."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (found.mean, found.std))
    run = FloatNetwork(found.network)
    return torch.cat([run((part - mean) / std).logits[-1].argmax(1) for part in x.split(64)]).numpy()


def _ends_in_softmax(model):
    last = next(layer for layer in model.get_layers() if layer.outputs[0] == model.outputs[0])
    return last.class_name == "Softmax" or str(last.get_attr("activation")).lower() == "softmax"
