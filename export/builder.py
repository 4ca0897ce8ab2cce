"""The compiler's assembler: instructions with maps instead of addresses, weights and tables stored once, placement.

    builder = Builder(vector_pitch=64)
    stem = builder.convolve(network8.stem, builder.new_map(3, 32, 32))
    builder.place(); program = builder.encode()

Maps are placed by first fit over their lifetimes, counted in instructions of the main stream; control only ever jumps
forward, so what lives from one instruction to another lives on every path between them.
"""

from dataclasses import dataclass, field

import numpy as np

from export.quantize import POOL_UNIT, scale_word
from hls import cost, isa
from hls.program import encode, row_bytes, tiles


class LowerError(ValueError):
    """A network that the engine has no room for; the message is one line."""


@dataclass(eq=False)
class Map:
    """A map before it has an address; it must keep its place from instruction `first` to `last`."""

    channels: int
    height: int
    width: int
    first: int = -1
    last: int = -1
    address: int = -1

    @property
    def words(self):
        """Words of tile memory."""
        return self.channels * tiles(self.height, self.width)

    def touch(self, time):
        """Be alive at `time`."""
        self.first, self.last = (time if self.first < 0 else self.first), max(self.last, time)


@dataclass
class Builder:
    """Collects instructions with maps in place of addresses, weights and tables."""

    vector_pitch: int  # distance between vectors in vector memory
    code: list = field(default_factory=list)  # [opcode, fields]
    maps: list = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    tables: list = field(default_factory=list)
    now: int | None = None  # a classifier's time is its TAP's
    shared: dict = field(default_factory=dict)  # contents → address, so that equal weights and tables are stored once

    def new_map(self, channels, height, width):
        """A map to be placed later."""
        self.maps.append(Map(channels, height, width))
        return self.maps[-1]

    def vector(self, number):
        """Address of the `number`-th vector."""
        return number * self.vector_pitch

    def emit(self, opcode, **fields):
        """Append an instruction; its fields, to be completed."""
        for value in fields.values():
            if isinstance(value, Map):
                value.touch(len(self.code) if self.now is None else self.now)
        self.code.append([opcode, fields])
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
    def convolve(self, conv, source, target=None, identity=None, in_mask=0, out_mask=0):
        """CONV from map to map; the output's map."""
        outputs, inputs, kernel, _ = conv.weight.shape
        size = -(-source.height // conv.stride), -(-source.width // conv.stride)
        target = target or self.new_map(outputs, *size)
        flags = isa.FLAG_IN_SIGNED * conv.in_signed | isa.FLAG_RELU * conv.relu
        if identity is not None:
            flags |= isa.FLAG_ADD | isa.FLAG_ADD_SIGNED * conv.identity_signed
        scales = np.concatenate([[conv.identity_scale], conv.scale])
        self.emit(
            isa.CONV,
            flags=flags,
            input=source,
            output=target,
            identity=identity or target,
            in_channels=inputs,
            out_channels=outputs,
            height=source.height,
            width=source.width,
            kernel=kernel,
            stride=conv.stride,
            in_mask=in_mask,
            out_mask=out_mask,
            weights=self.add_weights(conv.weight.reshape(outputs, -1)),
            table=self.add_table(np.concatenate([[0], conv.bias]), scales),
        )
        return target

    def max_pool(self, source, size):
        """POOL with kernel = stride; the output's map."""
        target = self.new_map(source.channels, source.height // size, source.width // size)
        fields = {"channels": source.channels, "height": source.height, "width": source.width}
        flags = isa.FLAG_RELU  # keeps bytes unsigned
        self.emit(
            isa.POOL, flags=flags, input=source, output=target, kernel=size, stride=size, padding=0, scale=0, **fields
        )
        return target

    def global_pool(self, source, vector):
        """GLOBAL_POOL to a vector, in 1 / POOL_UNIT of the map's scale."""
        fields = {"channels": source.channels, "height": source.height, "width": source.width}
        word = scale_word(POOL_UNIT / (source.height * source.width))
        self.emit(isa.GLOBAL_POOL, flags=0, input=source, output=self.vector(vector), scale=word, **fields)

    def multiply(self, layer, source, target):
        """FC from vector to vector."""
        outputs, inputs = layer.weight.shape
        raw = layer.scale is None
        self.emit(
            isa.FC,
            flags=isa.FLAG_RAW * raw,
            input=self.vector(source),
            output=self.vector(target),
            inputs=inputs,
            outputs=outputs,
            weights=self.add_weights(layer.weight),
            table=self.add_table(layer.bias, np.zeros(outputs, np.int32) if raw else layer.scale),
        )

    # ------------------------------------------------------------------------------------------------- finish
    def place(self):
        """Give every map an address; the words of tile memory in use. Raises LowerError when they do not fit."""
        placed = []
        for item in sorted(self.maps, key=lambda m: (m.first, -m.words)):
            item.address = 0
            for other in sorted(placed, key=lambda m: m.address):
                alive = item.first <= other.last and other.first <= item.last
                if alive and other.address < item.address + item.words and item.address < other.address + other.words:
                    item.address = other.address + other.words
            placed.append(item)
        used = max(item.address + item.words for item in placed)
        self.assert_apart()
        if used > isa.TILE_WORDS:
            raise LowerError(
                f"the network's maps need {used * isa.TILE**2 // 1024} KB at once, tile memory has "
                f"{isa.TILE_WORDS * isa.TILE**2 // 1024} KB: use a narrower network or smaller images"
            )
        return used

    def assert_apart(self):
        """No two maps that live at one time share a word."""
        for i, one in enumerate(self.maps):
            for other in self.maps[:i]:
                alive = one.first <= other.last and other.first <= one.last
                apart = one.address + one.words <= other.address or other.address + other.words <= one.address
                assert apart or not alive, f"maps {one} and {other} overlap"

    def encode(self):
        """The program, with addresses and the classifiers' costs: (n, INSTRUCTION_WORDS) int32."""
        if len(self.code) > isa.MAX_INSTRUCTIONS:
            raise LowerError(
                f"the network needs {len(self.code)} instructions, the engine takes {isa.MAX_INSTRUCTIONS}"
            )
        words = []
        for opcode, fields in self.code:
            plain = {name: value.address if isinstance(value, Map) else value for name, value in fields.items()}
            words.append(encode(opcode, **plain))
        program = np.stack(words).astype(np.int32)
        for pc, (opcode, fields) in enumerate(self.code):
            if opcode == isa.TAP:
                price = cost.classifier_cost(program, fields["target"])
                program[pc] = encode(opcode, **fields | {"flops": price.flops, "cycles": price.cycles})
        return program
