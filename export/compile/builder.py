"""The compiler's assembler: steps with maps instead of addresses, weights and tables stored once.

    builder = Builder()
    image = builder.image(table, 32, 32)
    stem = builder.convolve(conv8, image)
    compiled = builder.compile(image, gates=0, classes=10)

What maps and vectors are and where they go: export/compile/maps.py and export/compile/layout.py.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from export.compile.layout import LowerError, lay_out
from export.compile.maps import Map, Vector, place
from export.compile.pools import chain
from export.integers.layers8 import POOL_UNIT, scale_word
from hls import cost, isa
from hls.program import Limits, check, encode
from hls.shapes import row_bytes


class Sample(NamedTuple):
    """An image and the logits that it must have."""

    image: np.ndarray  # (height, width, channels) uint8
    logits: np.ndarray  # (classes,) int64


@dataclass(frozen=True)
class Compiled:
    """What a package holds besides its meta."""

    program: np.ndarray  # (n, INSTRUCTION_WORDS) int32
    weights: np.ndarray  # (bytes,) int8
    tables: np.ndarray  # (words,) int32
    gates: int
    classes: int
    tile_words: int  # of tile memory in use
    map_words: int  # of the DDR's map memory in use
    image_shape: tuple  # height, width, channels
    end: int  # where the network's own classifier begins
    sample: Sample | None = None  # of a network by shape (export/compile/shapes.py)
    shared: dict = field(repr=False, default_factory=dict)  # the Builder's: contents → address


@dataclass
class Builder:
    """Collects instructions with maps and vectors in place of addresses, weights and tables."""

    tile_words: int = isa.TILE_WORDS  # of tile memory that may be used
    fuse: bool = True  # pool in the convolution that writes the map
    steps: list = field(default_factory=list)  # [opcode, fields]; a target is a step's number
    maps: list = field(default_factory=list)
    vectors: list = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    tables: list = field(default_factory=list)
    now: int | None = None  # a classifier's time is its TAP's
    shared: dict = field(default_factory=dict)  # contents → address, so that equal weights and tables are stored once

    def going_on(self, before):
        """The builder, beginning with the weights and tables of a Compiled, or of none; it stores those no more."""
        if before is not None:
            self.weights, self.tables = bytearray(before.weights.tobytes()), before.tables.tolist()
            self.shared = dict(before.shared)
        return self

    def new_map(self, channels, height, width, pinned=False):
        """A map to be placed later; a classifier cannot reach the DDR, so its maps are `pinned` to tile memory."""
        self.maps.append(Map(channels, height, width, pinned or self.now is not None))
        return self.maps[-1]

    def new_vector(self, words):
        """A vector to be placed later."""
        self.vectors.append(Vector(words))
        return self.vectors[-1]

    def emit(self, opcode, **fields):
        """Append a step; its fields, to be completed."""
        for value in fields.values():
            if isinstance(value, (Map, Vector)):
                value.touch(len(self.steps) if self.now is None else self.now)
        self.steps.append([opcode, fields])
        return fields

    def add_weights(self, rows):
        """Store (n, length) int8 rows, each padded to WEIGHT_ALIGN; the address of the first."""
        padded = np.zeros((len(rows), row_bytes(rows.shape[1])), np.int8)
        padded[:, : rows.shape[1]] = rows
        base = self.shared.setdefault(("weights", padded.tobytes()), len(self.weights))
        if base == len(self.weights):
            self.weights += padded.tobytes()
        return base

    def add_table(self, bias, scale):
        """Store rows of (bias, scale); the address of the first, in words."""
        words = np.stack([bias, scale], 1).astype(np.int32).flatten().tolist()
        base = self.shared.setdefault(("table", tuple(words)), len(self.tables))
        if base == len(self.tables):
            self.tables += words
        return base

    # --------------------------------------------------------------------------------------------- operations
    def image(self, table, height, width):
        """IMAGE through a (channels, 256) int8 table; its map."""
        target = self.new_map(len(table), height, width, pinned=True)
        weights = self.add_weights(table.reshape(1, -1))
        self.emit(isa.IMAGE, output=target, channels=target.channels, height=height, width=width, weights=weights)
        return target

    def convolve(self, conv, source, target=None, identity=None, in_mask=0, out_mask=0, pool=None):
        """CONV from map to map; the output's map. `pool`: the vector that takes the output's global average."""
        outputs, inputs, kernel, _ = conv.weight.shape
        size = -(-source.height // conv.stride), -(-source.width // conv.stride)
        target = target or self.new_map(outputs, *size)
        flags = isa.FLAG_IN_SIGNED * conv.in_signed | isa.FLAG_RELU * conv.relu
        if identity is not None:
            flags |= isa.FLAG_ADD | isa.FLAG_ADD_SIGNED * conv.identity_signed
        fused = self.fuse and pool is not None
        bias = np.concatenate([[_mean_word(target) if fused else 0], conv.bias])
        filters = conv.weight.reshape(outputs, inputs, kernel**2)
        if in_mask:  # those of active channels are fetched alone
            filters = np.pad(filters, ((0, 0), (0, 0), (0, row_bytes(kernel**2) - kernel**2)))
        self.emit(
            isa.CONV,
            flags=flags,
            input=source,
            output=target,
            identity=target if identity is None else identity,
            in_channels=inputs,
            out_channels=outputs,
            height=source.height,
            width=source.width,
            kernel=kernel,
            stride=conv.stride,
            in_mask=in_mask,
            out_mask=out_mask,
            weights=self.add_weights(filters.reshape(outputs, -1)),
            table=self.add_table(bias, np.concatenate([[conv.identity_scale], conv.scale])),
            pool=pool if fused else -1,
        )
        if pool is not None and not fused:
            self.global_pool(target, pool, signed=not conv.relu)
        return target

    def affine(
        self, source, bias, scale, channel_offset=0, stride=1, in_signed=False, relu=True, pool=None, target=None
    ):
        """AFFINE with rows of (bias, scale), one an output channel; the output's map. `pool` as CONV's."""
        size = -(-source.height // stride), -(-source.width // stride)
        target = target or self.new_map(len(scale), *size)
        fused = self.fuse and pool is not None
        self.emit(
            isa.AFFINE,
            flags=isa.FLAG_RELU * relu | isa.FLAG_IN_SIGNED * in_signed,
            input=source,
            output=target,
            in_channels=source.channels,
            out_channels=target.channels,
            height=source.height,
            width=source.width,
            stride=stride,
            channel_offset=channel_offset,
            table=self.add_table(bias, scale),
            pool=pool if fused else -1,
            pool_scale=_mean_word(target) if fused else 0,
        )
        if pool is not None and not fused:
            self.global_pool(target, pool, signed=not relu)
        return target

    def pool(self, source, kernel, stride, padding=0, flags=isa.FLAG_RELU, scale=0, target=None):
        """POOL, at strides above 2 a chain of them; the output's map. FLAG_RELU keeps bytes unsigned.

        Raises LowerError where no chain is the same pool (export/compile/pools.py).
        """
        return self.pools(source, chain(kernel, stride, padding, bool(flags & isa.FLAG_AVERAGE)), flags, scale, target)

    def pools(self, source, stages, flags, scale, target=None, pinned=False):
        """A POOL for each of the Stages; the last one's map, which is `target` or, if it is to be, `pinned`."""
        *before, last = stages
        for stage in before:  # the same flags: bytes that turn from int8 to uint8, or back, are 0 … 127 and alike
            source = self._pool(source, stage, flags, scale)
        return self._pool(source, last, flags, scale, target, pinned)

    def _pool(self, source, stage, flags, scale, target=None, pinned=False):
        """One POOL; the output's map."""
        size = ((n + 2 * stage.padding - stage.kernel) // stage.stride + 1 for n in (source.height, source.width))
        target = target or self.new_map(source.channels, *size, pinned)
        fields = {"channels": source.channels, "height": source.height, "width": source.width, "scale": scale}
        self.emit(isa.POOL, flags=flags, input=source, output=target, **fields, **stage._asdict())
        return target

    def crop(self, source, height, width):
        """MOVEs of a map's first tiles; the map that they make."""
        target = self.new_map(source.channels, height, width)
        whole = target.across == source.across
        for row in range(1 if whole else target.rows):
            fields = {"input": source.from_row(row), "output": target.from_row(row), "channels": source.channels}
            fields |= {"words": target.tiles if whole else target.across, "mask": 0}
            self.emit(isa.MOVE, **fields, input_pitch=source.tiles, output_pitch=target.tiles)
        return target

    def global_pool(self, source, vector, signed=False, scale=None):
        """GLOBAL_POOL to a vector, in 1 / POOL_UNIT of the map's scale, or with a `scale` word of its own."""
        fields = {"channels": source.channels, "height": source.height, "width": source.width}
        flags, scale = isa.FLAG_IN_SIGNED * signed, _mean_word(source) if scale is None else scale
        self.emit(isa.GLOBAL_POOL, flags=flags, input=source, output=vector, scale=scale, **fields)

    def multiply(self, layer, source, target=None):
        """FC from a vector; the vector of its outputs."""
        outputs, inputs = layer.weight.shape
        raw, target = layer.scale is None, target or self.new_vector(outputs)
        self.emit(
            isa.FC,
            flags=isa.FLAG_RAW * raw | isa.FLAG_RELU * layer.relu,
            input=source,
            output=target,
            inputs=inputs,
            outputs=outputs,
            weights=self.add_weights(layer.weight),
            table=self.add_table(layer.bias, np.zeros(outputs, np.int32) if raw else layer.scale),
        )
        return target

    def lstm(self, layer, source):
        """LSTM from a vector; the vector of the hidden state."""
        hidden = len(layer.bias) // 4
        target = self.new_vector(hidden)
        self.emit(
            isa.LSTM,
            input=source,
            output=target,
            inputs=layer.weight.shape[1] - hidden,
            hidden=hidden,
            weights=self.add_weights(layer.weight),
            table=self.add_table(layer.bias, layer.scale),
        )
        return target

    # ------------------------------------------------------------------------------------------------- finish
    def compile(self, image, gates, classes, sample=None, end=0):
        """The Compiled of all steps; `end` is the first one of the network's own classifier.

        Raises LowerError when maps, vectors or instructions exceed the engine's sizes.
        """
        words = place(self.vectors)
        if words > isa.VECTOR_WORDS:
            raise LowerError(f"the network's vectors need {words} words at once, the engine has {isa.VECTOR_WORDS}")
        steps = [[opcode, {name: _placed(value) for name, value in fields.items()}] for opcode, fields in self.steps]
        layout = lay_out(steps, self.maps, self.tile_words)
        program = _encode(layout)
        weights, tables = np.frombuffer(bytes(self.weights), np.int8), np.array(self.tables, np.int32)
        sizes = len(program), len(weights), len(tables), image.channels * image.height * image.width
        check(program, Limits(*sizes, gates, classes, layout.map_words))
        shape = image.height, image.width, image.channels
        used = layout.tile_words, layout.map_words
        return Compiled(program, weights, tables, gates, classes, *used, shape, layout.starts[end], sample, self.shared)


def _mean_word(item):
    """The scale that makes a sum of a map's pixels their mean · POOL_UNIT."""
    return scale_word(POOL_UNIT / (item.height * item.width))


def _placed(value):
    return value.at if isinstance(value, Vector) else value


def _encode(layout):
    """The program, with targets and the classifiers' costs: (n, INSTRUCTION_WORDS) int32."""
    if len(layout.code) > isa.MAX_INSTRUCTIONS:
        raise LowerError(f"the network needs {len(layout.code)} instructions, the engine takes {isa.MAX_INSTRUCTIONS}")
    code = [[opcode, dict(fields)] for opcode, fields in layout.code]
    for _, fields in code:
        if "target" in fields:
            fields["target"] = layout.starts[fields["target"]]
    program = np.stack([encode(opcode, **fields) for opcode, fields in code]).astype(np.int32)
    for pc, (opcode, fields) in enumerate(code):
        if opcode == isa.TAP:
            price = cost.classifier_cost(program, fields["target"])
            program[pc] = encode(opcode, **fields | {"flops": price.flops, "cycles": price.cycles})
    return program
