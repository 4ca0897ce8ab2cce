"""Builds random programs: instructions with their weights and tables, and the memory that they may use.

Sizes are primes, so that the remainders of tiles and groups are hit; scales are chosen so that activations are
neither all zero nor all saturated. A program reads only what it has written for the same image: a map that was
computed under a mask is read under this mask, and what a layer gate may have skipped is not read behind its target.
"""

import math
from contextlib import contextmanager

import numpy as np

from hls import isa
from hls.program import encode
from hls.shapes import conv_row, filter_bytes, inner_rows, output_size, row_bytes, tiles
from hls.stress.maps import Map

PRIMES = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
WIDE, LARGE = (31, 97, 257, 509), (67, 131, 251, 256)  # channels of small maps; sides of maps of few channels
KERNELS, WINDOWS = (
    tuple(kernel for kernel in kernels if kernel <= isa.MAX_KERNEL)
    for kernels in ((1, 1, 3, 3, 3, 5, 7), (1, 2, 3, 3, 5, 7))
)  # of CONV and POOL
MAX_MACS = 1 << 20  # of one convolution, so that thousands of programs run in a minute
FIELDS_AT = {code: {name: at for at, name in enumerate(names, 1)} for code, names in isa.FIELDS.items()}


def scale_word(factor, negative=False):
    """The scale that multiplies by about `factor` > 0."""
    multiplier, exponent = math.frexp(factor)
    word = min(max(16 - exponent, 0), 63) << 16 | min(round(multiplier * 65536), 65535)
    return word - 2**31 if negative else word


class Builder:
    def __init__(self, rng):
        self.rng, self.code, self.classifiers = rng, [], []
        self.weights, self.tables = np.zeros(0, np.int8), np.zeros(2 * int(rng.integers(0, 3)), np.int32)
        self.maps, self.kept_maps = [], []  # in tile memory: those that may be read, and one for a classifier
        self.far_maps, self.far_at = [], int(rng.integers(0, 9))  # in the DDR's map memory, and its first free word
        self.masks, self.locked = {}, set()  # mask → channels it was built for; masks that a classifier uses
        self.vector_at, self.gates, self.depth = int(rng.integers(0, 50)), 0, 0
        self.classes = self.pick((2, 3, 10, 11, 37))
        kind = self.rng.random()
        self.counts = WIDE if kind < 0.04 else PRIMES[:4] if kind < 0.08 else PRIMES
        self.sides = PRIMES[:4] if kind < 0.04 else (*PRIMES[:7], *LARGE) if kind < 0.08 else PRIMES

    # choices

    def pick(self, values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability):
        return self.rng.random() < probability

    def scale(self, factor):
        """Mostly near `factor`, now and then anything: other signs, shift 0, the largest shift."""
        if self.chance(0.03):  # shift 0, the largest shift, negative
            return self.pick((0, 1, 65535, 63 << 16 | 65535, -(2**31) + 1, -(2**31) + (20 << 16 | 65535)))
        return scale_word(factor * 2 ** self.rng.uniform(-1, 1), self.chance(0.1))

    # memory

    def add_weights(self, rows, count):
        """Address of new rows of any bytes, -128 among them; the padding of a row is not zero either."""
        at = len(self.weights) + isa.WEIGHT_ALIGN * int(self.rng.integers(0, 3))
        new = self.rng.integers(-128, 128, at - len(self.weights) + rows * row_bytes(count), dtype=np.int8)
        self.weights = np.concatenate([self.weights, new])
        return at

    def add_table(self, rows, bias, factor):
        table = np.empty((rows, isa.TABLE_ROW), np.int64)
        table[:, 0] = self.rng.normal(0, bias, rows)
        table[:, 1] = [self.scale(factor) for _ in range(rows)]
        if self.chance(0.03):
            table[self.rng.integers(rows), 0] = self.pick((-(2**31), 2**31 - 1))
        at = len(self.tables)
        self.tables = np.concatenate([self.tables, np.clip(table, -(2**31), 2**31 - 1).astype(np.int32).ravel()])
        return at

    def place(self, words):
        """A free address for a map, often hard by another one or by an end of memory; None if there is no room."""
        live = self.maps + self.kept_maps
        starts = [0, isa.TILE_WORDS - words, int(self.rng.integers(isa.TILE_WORDS))]
        starts += [other.base + other.words for other in live]
        free = [
            start
            for start in starts
            if 0 <= start <= isa.TILE_WORDS - words
            and all(start + words <= other.base or other.base + other.words <= start for other in live)
        ]
        return self.pick(free) if free else None

    def vector(self, count):
        at = self.vector_at
        if at + count > isa.VECTOR_WORDS:
            raise MemoryError("vector memory is full")  # far from what a program of this generator takes
        self.vector_at += count + int(self.rng.integers(0, 3))
        return at

    # instructions

    def emit(self, opcode, **fields):
        self.code.append(encode(opcode, **fields))

    def new_map(self, shape, signed, mask=0):
        base = self.place(shape[0] * tiles(*shape[1:]))
        return None if base is None else Map(base, *shape, signed, mask)

    def keep(self, new):
        self.maps = [*[old for old in self.maps if old.base != new.base][-4:], new]

    def image_shape(self):
        """(channels, height, width), drawn again where tile memory does not hold them."""
        shape = self.pick(self.counts[:4]), self.pick(self.sides), self.pick(self.sides)
        return shape if shape[0] * tiles(*shape[1:]) <= isa.TILE_WORDS else self.image_shape()

    def image(self):
        self.shape = self.image_shape()
        channels, height, width = self.shape
        new = self.new_map(self.shape, True)
        table = self.add_weights(channels, 256)
        if self.chance(0.8):  # a normalisation, otherwise any table
            ramp = np.clip((np.arange(256) - 128) * self.rng.uniform(0.5, 1), -127, 127).astype(np.int8)
            self.weights[table:] = np.tile(ramp, channels)
        self.emit(isa.IMAGE, output=new.base, channels=channels, height=height, width=width, weights=table)
        self.keep(new)

    def band(self, fields):
        """Flags of halos that suit a CONV or POOL with these fields."""
        flags = isa.FLAG_HALO_TOP * self.chance(0.3) | isa.FLAG_HALO_BOTTOM * self.chance(0.3)
        return flags if inner_rows({**fields, "flags": flags}) > 0 else 0

    def conv(self, source, channels=None, target=None, kernel=None, out_mask=None):
        """A convolution into a new map, or in place into `target` under a mask; None if it would be too big."""
        kernel = kernel or self.pick(KERNELS)
        channels = target.channels if target else channels or self.pick(self.counts)
        in_mask = source.mask or self.pick([0] + [m for m, built in self.masks.items() if built == source.channels])
        shape = {"height": source.height, "width": source.width, "kernel": kernel, "in_channels": source.channels}
        shape |= {"stride": 1 if target else self.pick((1, 1, 2)), "out_channels": channels, "in_mask": in_mask}
        halo = 0 if target else self.band(shape)
        size = output_size({"opcode": isa.CONV, "flags": halo, **shape})
        if source.channels * channels * kernel**2 * size[0] * size[1] > MAX_MACS or conv_row(shape) > isa.LANE_BYTES:
            return None
        shape["out_mask"] = out_mask = self.pick_out_mask(channels) if out_mask is None else out_mask
        flags = isa.FLAG_IN_SIGNED * source.signed | isa.FLAG_RELU * self.chance(0.5) | halo
        new = target or self.new_map((channels, *size), not flags & isa.FLAG_RELU, out_mask)
        if new is None:
            return None
        same = [m for m in self.maps if m.shape == new.shape and m.mask in (0, out_mask)]
        identity = target if target else self.pick(same) if same and self.chance(0.7) else None
        if identity:
            flags |= isa.FLAG_ADD | isa.FLAG_ADD_SIGNED * identity.signed
        pool = -1 if self.chance(0.6) else self.vector(channels) if out_mask == 0 else new.pooled
        table = self.conv_table(source.channels * kernel**2, channels, size)
        weights = self.add_weights(channels, source.channels * filter_bytes(shape))
        places = {"input": source.base, "output": new.base, "identity": identity.base if identity else 7}
        self.emit(isa.CONV, flags=flags, **places, **shape, weights=weights, table=table, pool=pool)
        mask = 0 if target else out_mask
        self.keep(Map(new.base, *new.shape, not flags & isa.FLAG_RELU, mask, pooled=pool))
        return self.maps[-1]

    def conv_table(self, taps, channels, size):
        """A convolution's table: scales of the pooled sum and of the identity, then a row an output channel."""
        factor = 0.7 / 73 / np.sqrt(taps)
        table = self.add_table(1 + channels, 60 / factor / 4, factor)
        self.tables[table : table + 2] = self.scale(30 / size[0] / size[1]), self.scale(0.7)
        return table

    def pick_out_mask(self, channels):
        return self.pick([0, 0] + [m for m, built in self.masks.items() if built == channels])

    def affine(self, source):
        stride, channels, offset = self.pick((1, 1, 2)), self.pick(self.counts), self.pick((0, 0, 1, 5, 40))
        fields = {"opcode": isa.AFFINE, "height": source.height, "width": source.width, "stride": stride}
        signed = self.chance(0.5)
        new = self.new_map((channels, *output_size(fields)), signed)
        if new is None:
            return
        flags = isa.FLAG_IN_SIGNED * source.signed | isa.FLAG_RELU * (not signed)
        pool, size = -1 if self.chance(0.6) else self.vector(channels), output_size(fields)
        table = self.add_table(channels, 30 << isa.FRACTION_BITS, 2**-isa.FRACTION_BITS)
        self.emit(isa.AFFINE, flags=flags, input=source.base, output=new.base, in_channels=source.channels,
                  out_channels=channels, height=source.height, width=source.width, stride=stride,
                  channel_offset=offset, table=table, pool=pool, pool_scale=self.scale(30 / np.prod(size)))  # fmt: skip
        self.keep(Map(new.base, *new.shape, signed, pooled=pool))

    def pool(self, source):
        kernel = self.pick([k for k in WINDOWS if k <= min(source.height, source.width)])
        average = self.chance(0.4)
        padding = 0 if average else self.pick((kernel // 2, int(self.rng.integers(kernel // 2 + 1))))
        shape = {"height": source.height, "width": source.width, "kernel": kernel, "padding": padding}
        shape["stride"] = self.pick((1, 2)) if kernel > 1 else 1
        flags = self.band(shape) if 2 * padding == kernel - 1 else 0
        signed = source.signed if self.chance(0.8) else not source.signed
        new = self.new_map((source.channels, *output_size({"opcode": isa.POOL, "flags": flags, **shape})), signed)
        if new is None:
            return
        flags |= isa.FLAG_IN_SIGNED * source.signed | isa.FLAG_RELU * (not signed) | isa.FLAG_AVERAGE * average
        self.emit(isa.POOL, flags=flags, input=source.base, output=new.base, channels=source.channels,
                  scale=self.scale(1 / kernel**2), **shape)  # fmt: skip
        self.keep(new)

    def move(self, source):
        """Copy a map, or a band of it, to a free place in tile memory or in the DDR's map memory."""
        down, across = -(-source.height // isa.TILE), -(-source.width // isa.TILE)
        first, end = (0, down) if self.chance(0.5) else sorted(int(at) for at in self.rng.integers(0, down + 1, 2))
        if first == end:
            return
        height = min(source.height, isa.TILE * end) - isa.TILE * first
        shape, words = (source.channels, height, source.width), (end - first) * across
        mask = source.mask or self.pick([0, 0] + [m for m, built in self.masks.items() if built == source.channels])
        far = self.chance(0.3 if source.far else 0.7)
        pitch = words + (int(self.rng.integers(0, 4)) if far else 0)
        base = isa.DDR_ADDRESS + self.far_at if far else self.place(source.channels * words)
        if base is None:
            return
        self.emit(isa.MOVE, input=source.base + first * across, output=base, channels=source.channels, words=words,
                  input_pitch=source.pitch or source.tiles, output_pitch=pitch, mask=mask)  # fmt: skip
        new = Map(base, *shape, source.signed, mask, pitch if far else 0)
        if far:
            self.far_at += new.words + int(self.rng.integers(0, 3))
            self.far_maps = [*self.far_maps[-3:], new]
        else:
            self.keep(new)

    def features(self, source):
        """Pooled features in vector memory: (address, count)."""
        if source.pooled >= 0 and self.chance(0.7):
            return source.pooled, source.channels
        at = self.vector(source.channels)
        self.emit(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED * source.signed, input=source.base, output=at,
                  channels=source.channels, height=source.height, width=source.width,
                  scale=self.scale(30 / (source.height * source.width)))  # fmt: skip
        return at, source.channels

    def fc(self, vector, outputs, raw):
        (start, inputs), at = vector, self.vector(outputs)
        factor = 0.5 / 73 / np.sqrt(inputs)
        flags = isa.FLAG_RAW if raw else isa.FLAG_RELU * self.chance(0.2)
        self.emit(isa.FC, flags=flags, input=start, output=at, inputs=inputs, outputs=outputs,
                  weights=self.add_weights(outputs, inputs), table=self.add_table(outputs, 1e5, factor))  # fmt: skip
        return at, outputs

    def lstm(self, vector):
        (start, inputs), hidden = vector, self.pick((1, 2, 5, 10, 31, 32))
        at = self.vector(hidden)
        factor = 1500 / 73 / 3000 / np.sqrt(inputs + hidden)
        self.emit(isa.LSTM, input=start, output=at, inputs=inputs, hidden=hidden,
                  weights=self.add_weights(4 * hidden, inputs + hidden),
                  table=self.add_table(4 * hidden, 1e5, factor))  # fmt: skip
        return at, hidden

    def decide(self, source, outputs):
        """(address, count) of decisions about as often above as under 0, from a map's features."""
        vector = self.features(source)
        return self.fc(self.lstm(vector) if self.chance(0.4) else vector, outputs, raw=self.chance(0.5))

    def threshold(self):
        return self.pick((-(2**31), 2**31 - 1, 0, 0, 0)) if self.chance(0.5) else int(self.rng.normal(0, 300))

    def channel_gate(self, source, channels):
        free = [mask for mask in range(1, isa.MASKS) if mask not in self.locked]
        if not free or source.mask:
            return 0
        mask, gate, at = self.pick(free), -1, self.decide(source, channels)[0]
        if self.chance(0.8):
            gate, self.gates = self.gates, self.gates + 1
        self.emit(isa.GATE_CHANNEL, input=at, channels=channels, threshold=self.threshold(), mask=mask, gate=gate)
        self.forget_masks({mask})
        self.masks[mask] = channels
        return mask

    def forget_masks(self, changed):
        self.masks = {mask: built for mask, built in self.masks.items() if mask not in changed}
        for maps in (self.maps, self.far_maps):
            maps[:] = [old for old in maps if old.mask not in changed]

    @contextmanager
    def skippable(self, source):
        """What is emitted inside may be jumped over: it leaves no new map or mask behind."""
        at, gate = self.decide(source, 1)[0], self.gates
        self.gates, masks = self.gates + 1, dict(self.masks)
        maps, far_maps = list(self.maps), list(self.far_maps)
        index, at_mask = len(self.code), FIELDS_AT[isa.GATE_CHANNEL]["mask"]
        self.emit(
            isa.GATE_LAYER, input=at, threshold=self.threshold(), target=0, gate=gate, channels=self.pick(self.counts)
        )
        self.depth += 1
        yield
        self.depth -= 1
        self.code[index][FIELDS_AT[isa.GATE_LAYER]["target"]] = len(self.code)
        self.maps, self.far_maps, self.masks = maps, far_maps, masks
        self.forget_masks({int(words[at_mask]) for words in self.code[index:] if words[0] == isa.GATE_CHANNEL})
