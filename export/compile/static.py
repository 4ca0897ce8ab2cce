"""The static part of a package: its program read back as layers in integers, every gate open, the last exit alone.

    network = static(package)              # Static(image, logits, layers, table)
    records = cosim.run(opened(package.program), …)      # the engine on the same part

Addresses become layers again: whoever reads a place gets what was last written there. What only gates and other exits
want is left out. A layer is one instruction: an integer sum, then a rescaling that rounds half up and saturates.
"""

from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.golden import Engine
from hls.program import decode, has_halo, output_size
from hls.shapes import tiles

LOWEST = -(2**31)  # a threshold that everything is above
MOST = 2**15 - 1  # of a vector's entry


@dataclass(eq=False)
class Layer:
    """One operation. `kind`: image, conv, max, pool (the sum of a map's pixels, a vector), dense, concat, select, view.

    Its output is rounded and saturated to `bits` bits, `signed` or not. `size` is None of a vector.
    """

    kind: str
    name: str
    inputs: list
    channels: int
    size: tuple | None
    bits: int = 8
    signed: bool = True
    weight: np.ndarray | None = None  # conv (out, in, k, k), dense (out, in) or (out, channels, height, width) of a map
    bias: np.ndarray | None = None  # (out,)
    words: np.ndarray | None = None  # (out,) the scale words of the sum; None: the sum itself
    add_word: int = 0  # conv: the scale word of the second input, which is added
    kernel: int = 1  # conv, max
    stride: int = 1
    padding: int = 0  # zeros around a conv's input, nothing around a max's
    first: int = 0  # select: the first channel


@dataclass(frozen=True)
class Static:
    """Layers in order, from the image to the logits; `table` (channels, 256): the code of each pixel value."""

    layers: list
    table: np.ndarray

    @property
    def image(self):
        """The input, codes of pixels."""
        return self.layers[0]

    @property
    def logits(self):
        """The output."""
        return self.layers[-1]


def opened(program):
    """The program with every gate open, which leaves at the last exit where no budget and no rule stops it."""
    program = program.copy()
    for opcode in (isa.GATE_LAYER, isa.GATE_CHANNEL):
        program[program[:, 0] == opcode, 1 + isa.FIELDS[opcode].index("threshold")] = LOWEST
    return program


def static(package):
    """The Static of a package. Raises UserError for what cannot be read back as layers."""
    reader = _Reader(package)
    logits = reader.run()
    needed, order = {logits}, []
    for layer in reversed(reader.made):
        if layer in needed:
            order.append(layer)
            needed.update(layer.inputs)
    return Static(order[::-1], reader.table)


class _Reader(Engine):
    """The golden engine with layers in place of numbers: one method an instruction.

    `at` and `entries` hold for a word of map and of vector memory what was written there last: (layer, channel). An
    entry that is a whole sum of a map's pixels is kept as (layer, coefficients (channels, height, width)), so that a
    Flatten, which is many such sums and their differences, is one layer again.
    """

    def __init__(self, package):
        super().__init__(package.program, package.weights, package.tables, package.start(), package.limits)
        self.at, self.entries, self.made, self.table = {}, {}, [], np.zeros((0, 256), np.int8)
        self.pc, self.logits = 0, None

    def run(self):
        """The Layer of the logits."""
        for pc, words in enumerate(self.program):
            self.pc, fields = pc, decode(words)
            self.methods[fields["opcode"]](fields)
            if self.logits is not None:
                return self.logits
        raise UserError("the program has no exit of its own: export it again (python -m export …)")

    # ------------------------------------------------------------------------------------------------------ places
    def _new(self, kind, inputs, channels, size, name=None, **numbers):
        self.made.append(Layer(kind, name or f"{kind}{self.pc}", inputs, channels, size, **numbers))
        return self.made[-1]

    def _refuse(self, what):
        raise UserError(f"instruction {self.pc} {what}: an hls4ml project is for small static networks on the chip")

    def _put(self, base, layer):
        """A layer's map lies at `base`."""
        for channel in range(layer.channels):
            self.at[base + channel * tiles(*layer.size)] = layer, channel

    def _read(self, base, channels, size, signed):
        """The Layer that has the `channels` channels from `base` on, of this size."""
        places = [self.at.get(base + channel * tiles(*size)) for channel in range(channels)]
        if None in places:
            self._refuse("reads a map that no layer wrote")
        parts = [self._view(self._part(*run), size) for run in _runs(places)]
        for part in parts:
            if part.kind == "image":
                part.signed = bool(signed)
            if part.signed != bool(signed):
                self._refuse("reads signed and unsigned channels together")
        return parts[0] if len(parts) == 1 else self._concat(parts)

    def _part(self, layer, first, count):
        if count == layer.channels:
            return layer
        kept = {"bits": layer.bits, "signed": layer.signed}
        name = f"{layer.name}_from{first}_{self.pc}"
        return self._new("select", [layer], count, layer.size, name, first=first, **kept)

    def _view(self, layer, size):
        if layer.size == size:
            return layer
        kept = {"bits": layer.bits, "signed": layer.signed}
        return self._new("view", [layer], layer.channels, size, f"{layer.name}_view{self.pc}", **kept)

    def _concat(self, parts):
        """Two at a time, as hls4ml has it."""
        whole = parts[0]
        for number, part in enumerate(parts[1:]):
            size, kept = whole.size, {"bits": whole.bits, "signed": whole.signed}
            channels = whole.channels + part.channels
            whole = self._new("concat", [whole, part], channels, size, f"concat{self.pc}_{number}", **kept)
        return whole

    def _input_map(self, f, channels):
        return self._read(f["input"], channels, (f["height"], f["width"]), f["flags"] & isa.FLAG_IN_SIGNED)

    def _store_vector(self, base, entries):
        self.entries.update(zip(range(base, base + len(entries)), entries))

    # ------------------------------------------------------------------------------------------------- instructions
    def _image(self, f):
        self.table = self._weight_rows(f, f["channels"], 256).astype(np.int8)
        self._put(f["output"], self._new("image", [], f["channels"], (f["height"], f["width"]), "image"))

    def _conv(self, f):
        if has_halo(f):
            self._refuse("works on a band of a map")
        x, size = self._input_map(f, f["in_channels"]), output_size(f)
        bias, words = self._table_rows(f, 1 + f["out_channels"])
        inputs, signed = [x], not f["flags"] & isa.FLAG_RELU
        if f["flags"] & isa.FLAG_ADD:
            inputs.append(self._read(f["identity"], f["out_channels"], size, f["flags"] & isa.FLAG_ADD_SIGNED))
        numbers = {"weight": self._filters(f), "bias": bias[1:], "words": words[1:], "signed": signed}
        place = {"kernel": f["kernel"], "stride": f["stride"], "padding": f["kernel"] // 2}
        made = self._new("conv", inputs, f["out_channels"], size, **numbers, **place, add_word=int(words[0]))
        self._put(f["output"], made)
        self._pooled(f, made, bias[0])

    def _affine(self, f):
        """A 1×1 convolution by 2^FRACTION_BITS, which is how the instruction itself has a fraction."""
        x = self._input_map(f, f["in_channels"])
        weight = np.eye(f["out_channels"], f["in_channels"], -f["channel_offset"], dtype=np.int64)
        bias, words = self._table_rows(f, f["out_channels"])
        numbers = {"weight": weight[:, :, None, None] << isa.FRACTION_BITS, "bias": bias, "words": words}
        signed = not f["flags"] & isa.FLAG_RELU
        made = self._new("conv", [x], f["out_channels"], output_size(f), **numbers, stride=f["stride"], signed=signed)
        self._put(f["output"], made)
        self._pooled(f, made, f["pool_scale"])

    def _pooled(self, f, layer, word):
        if f["pool"] >= 0:
            self._store_vector(f["pool"], self._sums(layer, layer.size, int(word)))

    def _pool(self, f):
        if has_halo(f):
            self._refuse("works on a band of a map")
        x, channels, size = self._input_map(f, f["channels"]), f["channels"], output_size(f)
        numbers = {"kernel": f["kernel"], "stride": f["stride"], "padding": f["padding"]}
        numbers |= {"signed": not f["flags"] & isa.FLAG_RELU}
        if not f["flags"] & isa.FLAG_AVERAGE:
            made = self._new("max", [x], channels, size, **numbers)
        else:
            weight = np.eye(channels, dtype=np.int64)[:, :, None, None] * np.ones((f["kernel"],) * 2, np.int64)
            numbers |= {"weight": weight, "bias": np.zeros(channels, np.int64)}
            made = self._new("conv", [x], channels, size, **numbers, words=np.full(channels, f["scale"]))
        self._put(f["output"], made)

    def _global_pool(self, f):
        """The sum of a rectangle from the first pixel on, whatever the map's own size."""
        rectangle = f["height"], f["width"]
        places = [self.at.get(f["input"] + channel * tiles(*rectangle)) for channel in range(f["channels"])]
        if None in places:
            self._refuse("reads a map that no layer wrote")
        signed, entries = f["flags"] & isa.FLAG_IN_SIGNED, []
        for layer, first, count in _runs(places):
            if layer.kind == "image":
                layer.signed = bool(signed)
            entries += self._sums(layer, rectangle, f["scale"])[first : first + count]
        self._store_vector(f["output"], entries)

    def _sums(self, layer, rectangle, word):
        """An entry for each channel of a map: the sum itself by its coefficients, or a mean by the layer of a pool."""
        channels = np.arange(layer.channels)
        if _whole(word) != 1 or 255 * rectangle[0] * rectangle[1] > MOST:
            fields = {"bits": 16, "words": np.full(layer.channels, word)}
            made = self._new("pool", [self._view(layer, rectangle)], layer.channels, None, **fields)
            return [(made, int(number)) for number in channels]
        coefficients = np.zeros((layer.channels, layer.channels, *layer.size), np.int64)
        coefficients[channels, channels, : rectangle[0], : rectangle[1]] = 1
        return [(layer, rows) for rows in coefficients]

    def _fc(self, f):
        self._store_vector(f["output"], self._products(f))

    def _products(self, f):
        """The entries of an FC; None of one that reads what a gate alone has, such as an LSTM's state."""
        found, count = [self.entries.get(f["input"] + index) for index in range(f["inputs"])], f["outputs"]
        weight, (bias, words) = self._weight_rows(f, count, f["inputs"]), self._table_rows(f, count)
        layer, sums = _whole_vector(found)
        if layer is None:
            return [None] * count
        if sums is not None:
            weight = np.tensordot(weight, sums, 1)  # (out, channels, height, width)
            exact = _picked(weight, bias, words)
            if exact is not None:
                return [(layer, rows) for rows in exact]
        raw, signed = bool(f["flags"] & isa.FLAG_RAW), not f["flags"] & isa.FLAG_RELU
        numbers = {"weight": weight, "bias": bias, "words": None if raw else words}
        made = self._new("dense", [layer], count, None, signed=signed, bits=32 if raw else 16, **numbers)
        return [(made, number) for number in range(count)]

    def _lstm(self, f):
        self._store_vector(f["output"], [None] * f["hidden"])

    def _gate_layer(self, f):
        """Open."""

    _gate_channel = _tap = _gate_layer

    def _move(self, f):
        self._refuse("moves a map, as of a network that does not fit the chip")

    def _exit(self, f):
        found = [self.entries.get(f["input"] + index) for index in range(f["classes"])]
        self.logits, sums = _whole_vector(found)
        if self.logits is None:
            self._refuse("classifies a vector that is put together of several")
        if sums is not None:
            numbers = {"weight": sums, "bias": np.zeros(len(found), np.int64)}
            self.logits = self._new("dense", [self.logits], len(found), None, bits=16, **numbers)


def _whole_vector(found):
    """(layer, None) of entries that are all its channels, in order; (layer, coefficients) of sums of its map's pixels.

    (None, None) of others.
    """
    if any(entry is None for entry in found) or len({source for source, _ in found}) != 1:
        return None, None
    layer, numbers = found[0][0], [number for _, number in found]
    if all(isinstance(number, np.ndarray) for number in numbers):
        return layer, np.stack(numbers)
    return (layer if numbers == list(range(layer.channels)) else None), None


def _picked(weight, bias, words):
    """The coefficients of an FC that only picks pixels, each times a whole number; None of another."""
    rows, times = weight.reshape(len(weight), -1), [_whole(int(word)) for word in words]
    if bias.any() or None in times or (np.count_nonzero(rows, axis=1) != 1).any():
        return None
    exact = weight * np.array(times)[:, None, None, None]
    return exact if np.abs(exact).max() * 255 <= MOST else None


def _runs(places):
    """[(layer, number)] as [(layer, first, count)], channels that follow each other together."""
    found = []
    for layer, number in places:
        if found and found[-1][0] is layer and sum(found[-1][1:]) == number:
            found[-1] = (layer, found[-1][1], found[-1][2] + 1)
        else:
            found.append((layer, number, 1))
    return found


def _whole(word):
    """The whole number that a scale word multiplies by, or None."""
    multiplier, shift = word & 0xFFFF, word >> 16 & 0x3F
    return None if word < 0 or multiplier % (1 << shift) else multiplier >> shift
