"""A package's static part as a project of hls4ml: another tool's C++ for the same integers.

    model = write_project(package, "project")        # hls4ml's ModelGraph, backend Vitis, io_stream; the folder written
    model.compile(); model.predict(codes(package, pixels))     # equal to the engine's logits

A layer becomes an integer sum (Conv2D, DepthwiseConv2D, Dense) and a BatchNormalization that multiplies each channel by
its scale word, rounded half up and saturated to the codes' bits: exactly what the engine does (docs/engine.md).
"""

import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import hls4ml
import numpy as np
from hls4ml.model import ModelGraph

from export.compile.static import static
from export.integers.layers8 import word_value
from hls import isa
from hls.command import outputs
from hls.errors import UserError

SUM = f"fixed<{isa.SUM_BITS},{isa.SUM_BITS},TRN,SAT>"  # of a map, before its rescaling
WIDE = "fixed<48,48>"  # of accumulators and of what nothing saturates
ROUNDED = "fixed<48,48,RND>"
PART = "xc7z020-clg484-1"  # the ZedBoard's
README = """{name}: the static part of a package of ddi-fpga, every gate open, as a project of hls4ml {version}.

Its input is not pixels but their codes, (height, width, channels): codes[channel, pixel] of image_codes.npy. Its output
is the logits in the engine's integers; times {step:.9g} they are the float network's.

    ./build_lib.sh                        g++: the C simulation, firmware/{project}-*.so
    vitis-run --mode hls --tcl build_prj.tcl      the vendor's tool
"""


def write_project(package, folder):
    """hls4ml's ModelGraph of a Package, written to an empty or new folder, whole or not at all. Raises UserError."""
    folder = Path(folder)
    check_new(folder)
    model = project(package, folder)
    outputs.made(folder, "--hls4ml")
    try:
        with redirect_stdout(StringIO()):
            model.write()
        np.save(folder / "image_codes.npy", _codes(package))
        values = {"name": package.name, "version": hls4ml.__version__, "step": package.meta["steps"]["logits"]}
        outputs.write(folder / "README.txt", README.format(project=model.config.get_project_name(), **values))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return model


def check_new(folder):
    """UserError where `folder` holds something."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--hls4ml {folder} is there already: give a new folder, or an empty one")
    outputs.usable(folder, "--hls4ml")


def project(package, folder):
    """The ModelGraph of a Package, which is to be written to `folder`. Raises UserError."""
    network = static(package)
    layers = _Layers()
    for layer in network.layers:
        getattr(layers, f"_{layer.kind}")(layer)
    config = hls4ml.utils.config.create_config(
        output_dir=str(folder), project_name="static_part", backend="Vitis", part=PART, io_type="io_stream"
    )
    model = {"Precision": {"default": WIDE}, "ReuseFactor": 1, "Strategy": "Resource"}
    config["HLSConfig"] = {"Model": model, "LayerName": layers.config}
    with redirect_stdout(StringIO()):
        return ModelGraph.from_layer_list(config, layers.found, [network.image.name], [layers.found[-1]["name"]])


def codes(package, pixels):
    """(N, H, W, C) float32, what the project's model takes, of pixels (N, H, W, C) uint8."""
    table = _codes(package)
    return np.stack([table[channel][pixels[..., channel]] for channel in range(len(table))], -1).astype(np.float32)


def _codes(package):
    network = static(package)
    return network.table if network.image.signed else network.table.view(np.uint8)


def _type(layer):
    """The precision of a layer's output: its codes, rounded half up and saturated."""
    return f"{'' if layer.signed else 'u'}fixed<{layer.bits},{layer.bits},RND,SAT>"


class _Layers:
    """hls4ml's layers in order (`found`), and the precision of each (`config`): one method a kind."""

    def __init__(self):
        self.found, self.config = [], {}

    def _add(self, kind, name, inputs, precision, **fields):
        self.found.append({"class_name": kind, "name": name, "inputs": inputs, "data_format": "channels_last"} | fields)
        self.config[name] = {"Precision": {"accum": WIDE, **precision}}
        return name

    def _image(self, layer):
        self._add("InputLayer", layer.name, [], {"result": _type(layer)}, input_shape=[*layer.size, layer.channels])

    def _conv(self, layer):
        fields = _window(layer.inputs[0], layer.size, layer.kernel, layer.stride, layer.padding)
        fields |= {"n_chan": layer.inputs[0].channels, "n_filt": layer.channels}
        fields |= {"weight_data": layer.weight.transpose(2, 3, 1, 0), "bias_data": layer.bias}
        precision = {"result": SUM, "weight": _integers(layer.weight), "bias": _integers(layer.bias)}
        sums = self._add("Conv2D", f"{layer.name}_sum", [layer.inputs[0].name], precision, **fields)
        if len(layer.inputs) == 1:
            return self._rescaled(layer, sums, layer.name, layer.words, _type(layer))
        one = self._rescaled(layer, sums, f"{layer.name}_own", layer.words, ROUNDED)
        words = np.full(layer.channels, layer.add_word)
        other = self._rescaled(layer, layer.inputs[1].name, f"{layer.name}_added", words, ROUNDED)
        return self._add("Merge", layer.name, [one, other], {"result": _type(layer)}, op="add")

    def _rescaled(self, layer, x, name, words, precision):
        """Each channel times its scale word, exactly; then rounded and saturated."""
        scale, kind = _scales(words)
        count = int(np.prod(layer.size or (1,))) * layer.channels
        fields = {"scale_data": scale, "bias_data": np.zeros(layer.channels), "n_in": count, "n_out": count}
        fields |= {"n_filt": layer.channels if layer.size else -1}
        types = {"scale": kind, "bias": "ufixed<1,1>", "result": precision}
        return self._add("BatchNormalization", name, [x], types, **fields)

    def _max(self, layer):
        """Zeros around codes that are not negative change no maximum."""
        x, name = layer.inputs[0], layer.inputs[0].name
        if layer.kernel != layer.stride:
            found = f"{layer.kernel}×{layer.kernel} at stride {layer.stride}"
            raise UserError(
                f"{layer.name}: hls4ml's streams have no max pool of {found}: its stride must be its kernel"
            )
        fields = _window(x, layer.size, layer.kernel, layer.stride, layer.padding)
        pads = [fields[f"pad_{side}"] for side in ("top", "bottom", "left", "right")]
        if any(pads):
            if layer.signed:
                raise UserError(f"{layer.name}: a max pool with padding of negative codes is not written for hls4ml")
            size = x.size[0] + sum(pads[:2]), x.size[1] + sum(pads[2:])
            name = self._framed("ZeroPadding2D", f"{layer.name}_framed", x, size, "pad", pads)
            fields |= dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 0)
            fields |= {"in_height": size[0], "in_width": size[1]}
        fields |= {f"pool_{side}": fields.pop(f"filt_{side}") for side in ("height", "width")}
        kept = {"n_filt": layer.channels, "padding": "valid", "count_pad": False}
        self._add("MaxPooling2D", layer.name, [name], {"result": _type(layer)}, **fields, **kept)

    def _framed(self, kind, name, x, size, what, sides):
        sides = dict(zip((f"{what}_{side}" for side in ("top", "bottom", "left", "right")), map(int, sides)))
        sizes = {"in_height": x.size[0], "in_width": x.size[1], "out_height": size[0], "out_width": size[1]}
        return self._add(kind, name, [x.name], {"result": _type(x)}, n_chan=x.channels, **sizes, **sides)

    def _view(self, layer):
        """Rows and columns at the bottom and the right are cut off, or zeros added there."""
        x, name = layer.inputs[0], layer.name
        sides = [(other - one, one - other) for one, other in zip(layer.size, x.size)]
        cut, more = ([part for side in sides for part in (0, max(side[way], 0))] for way in (0, 1))
        if any(cut) and any(more):
            raise UserError(f"{name}: a map that is cut one way and grows the other is not written for hls4ml")
        kind, what = ("Cropping2D", "crop") if any(cut) else ("ZeroPadding2D", "pad")
        self._framed(kind, name, x, layer.size, what, cut if any(cut) else more)

    def _select(self, layer):
        """Some channels, by a 1×1 convolution with one 1 an output."""
        x = layer.inputs[0]
        weight = np.eye(layer.channels, x.channels, layer.first)[:, :, None, None].transpose(2, 3, 1, 0)
        fields = _window(x, layer.size, 1, 1, 0) | {"n_chan": x.channels, "n_filt": layer.channels}
        precision = {"result": _type(layer), "weight": "ufixed<1,1>", "bias": "ufixed<1,1>"}
        fields |= {"weight_data": weight, "bias_data": np.zeros(layer.channels)}
        self._add("Conv2D", layer.name, [x.name], precision, **fields)

    def _concat(self, layer):
        names = [x.name for x in layer.inputs]
        self._add("Concatenate", layer.name, names, {"result": _type(layer)}, op="concatenate3d", axis=3)

    def _pool(self, layer):
        """The sum of a map's pixels: a depthwise convolution by ones, as large as the map."""
        x = layer.inputs[0]
        fields = _window(x, (1, 1), x.size, 1, 0) | {"n_chan": x.channels, "n_filt": x.channels}
        fields |= {"depthwise_data": np.ones((*x.size, x.channels, 1)), "bias_data": np.zeros(x.channels)}
        precision = {"result": WIDE, "weight": "ufixed<1,1>", "bias": "ufixed<1,1>"}
        sums = self._add("DepthwiseConv2D", f"{layer.name}_sum", [x.name], precision, depth_multiplier=1, **fields)
        flat = self._flat(sums, f"{layer.name}_flat", x.channels, WIDE)
        self._rescaled(layer, flat, layer.name, layer.words, _type(layer))

    def _flat(self, x, name, count, precision):
        return self._add("Reshape", name, [x], {"result": precision}, target_shape=[count])

    def _dense(self, layer):
        x, weight = layer.inputs[0], layer.weight
        name = x.name
        if x.size is not None:  # of a map's pixels, which hls4ml flattens channels last
            weight = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
            name = self._flat(name, f"{layer.name}_flat", weight.shape[1], _type(x))
        precision = {"result": WIDE, "weight": _integers(weight), "bias": _integers(layer.bias)}
        fields = {"n_in": weight.shape[1], "n_out": layer.channels, "use_bias": True}
        fields |= {"weight_data": weight.T, "bias_data": layer.bias}
        sums = self._add("Dense", f"{layer.name}_sum", [name], precision, **fields)
        words = np.full(layer.channels, 1) if layer.words is None else layer.words
        self._rescaled(layer, sums, layer.name, words, _type(layer))


def _window(x, size, kernel, stride, padding):
    """hls4ml's fields of a window on a map that has outputs of `size`; what lacks at the end is padded there."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    fields = {}
    for side, begin, end, index in (("height", "top", "bottom", 0), ("width", "left", "right", 1)):
        reach = (size[index] - 1) * stride + kernel[index]
        fields |= {f"in_{side}": x.size[index], f"out_{side}": size[index], f"filt_{side}": kernel[index]}
        fields |= {f"stride_{side}": stride, f"pad_{begin}": padding}
        fields |= {f"pad_{end}": max(0, reach - padding - x.size[index])}
    return fields


def _integers(values):
    """The narrowest signed type that holds whole numbers."""
    low, high = int(values.min()), int(values.max())
    bits = 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0, 1)
    return f"fixed<{bits},{bits}>"


def _scales(words):
    """(values (out,) float64, the narrowest type that holds all of them exactly) of scale words."""
    words = np.asarray(words, np.int64)
    multipliers, shifts = words & 0xFFFF, words >> 16 & 0x3F
    used = [(int(m), int(s)) for m, s in zip(multipliers, shifts) if m]
    fraction = max((s - ((m & -m).bit_length() - 1) for m, s in used), default=0)
    whole = max((m.bit_length() - s for m, s in used), default=1)
    signed = bool((words < 0).any())
    return word_value(words), f"{'' if signed else 'u'}fixed<{max(whole + fraction, 1) + signed},{whole + signed}>"
