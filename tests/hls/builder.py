"""Builds programs for tests: instructions with their weights and tables, and the memory that they may use.

Sizes are primes, so that the remainders of tiles and groups are hit; scales are chosen so that activations are
neither all zero nor all saturated. A program reads only what it has written for the same image: a map that was
computed under a mask is read under this mask, and what a layer gate may have skipped is not read behind its target.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.program import encode, output_size, row_bytes, tiles

PRIMES = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
WIDE, LARGE = (31, 97, 257, 509), (67, 131, 251, 256)  # channels of small maps; sides of maps of few channels
MAX_MACS = 1 << 20  # of one convolution, so that thousands of programs run in a minute
FIELDS_AT = {code: {name: at for at, name in enumerate(names, 1)} for code, names in isa.FIELDS.items()}


@dataclass(frozen=True)
class Map:
    """A map in tile memory; `mask` holds the channels that are written, 0 for all."""

    base: int
    channels: int
    height: int
    width: int
    signed: bool
    mask: int = 0

    @property
    def words(self):
        return self.channels * tiles(self.height, self.width)

    @property
    def shape(self):
        return self.channels, self.height, self.width


def scale_word(factor, negative=False):
    """The scale that multiplies by about `factor` > 0."""
    multiplier, exponent = math.frexp(factor)
    word = min(max(16 - exponent, 0), 63) << 16 | min(round(multiplier * 65536), 65535)
    return word - 2**31 if negative else word


class Builder:
    def __init__(self, rng):
        self.rng, self.code, self.classifiers = rng, [], []
        self.weights, self.tables = np.zeros(0, np.int8), np.zeros(int(rng.integers(0, 4)), np.int32)
        self.maps, self.kept_maps = [], []
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
        """Address of new rows of weights in [-127, 127]; the padding of a row is not zero either."""
        at = len(self.weights) + isa.WEIGHT_ALIGN * int(self.rng.integers(0, 3))
        new = self.rng.integers(-127, 128, at - len(self.weights) + rows * row_bytes(count), dtype=np.int8)
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

    def image(self):
        self.shape = self.pick(self.counts[:4]), self.pick(self.sides), self.pick(self.sides)
        channels, height, width = self.shape
        new = self.new_map(self.shape, True)
        table = self.add_weights(channels, 256)
        if self.chance(0.8):  # a normalisation, otherwise any table
            ramp = np.clip((np.arange(256) - 128) * self.rng.uniform(0.5, 1), -127, 127).astype(np.int8)
            self.weights[table:] = np.tile(ramp, channels)
        self.emit(isa.IMAGE, output=new.base, channels=channels, height=height, width=width, weights=table)
        self.keep(new)

    def conv(self, source, channels=None, target=None, kernel=None, out_mask=None):
        """A convolution into a new map, or in place into `target` under a mask; None if it would be too big."""
        kernel = kernel or self.pick((1, 1, 3, 3, 3, 5, 7))
        stride = 1 if target else self.pick((1, 1, 2))
        channels = target.channels if target else channels or self.pick(self.counts)
        sizes = output_size({"opcode": isa.CONV, "height": source.height, "width": source.width, "stride": stride})
        if (
            source.channels * channels * kernel**2 * sizes[0] * sizes[1] > MAX_MACS
            or source.channels * kernel**2 > 65536
        ):
            return None
        in_mask = source.mask or self.pick([0] + [m for m, built in self.masks.items() if built == source.channels])
        out_mask = self.pick_out_mask(channels) if out_mask is None else out_mask
        flags = isa.FLAG_IN_SIGNED * source.signed | isa.FLAG_RELU * self.chance(0.5)
        new = target or self.new_map((channels, *sizes), not flags & isa.FLAG_RELU, out_mask)
        same = [m for m in self.maps if new and m.shape == new.shape and m.mask in (0, out_mask)]
        identity = target if target else self.pick(same) if same and self.chance(0.7) else None
        if new is None:
            return None
        if identity:
            flags |= isa.FLAG_ADD | isa.FLAG_ADD_SIGNED * identity.signed
        factor = 0.7 / 73 / np.sqrt(source.channels * kernel**2)
        table = self.add_table(1 + channels, 60 / factor / 4, factor)
        self.tables[table + 1] = self.scale(0.7)
        shape = {"height": source.height, "width": source.width, "kernel": kernel, "stride": stride}
        shape |= {"in_channels": source.channels, "out_channels": channels, "in_mask": in_mask, "out_mask": out_mask}
        weights = self.add_weights(channels, source.channels * kernel**2)
        places = {"input": source.base, "output": new.base, "identity": identity.base if identity else 7}
        self.emit(isa.CONV, flags=flags, **places, **shape, weights=weights, table=table)
        self.keep(Map(new.base, *new.shape, not flags & isa.FLAG_RELU, 0 if target else out_mask))
        return self.maps[-1]

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
        table = self.add_table(channels, 30 << isa.FRACTION_BITS, 2**-isa.FRACTION_BITS)
        self.emit(isa.AFFINE, flags=flags, input=source.base, output=new.base, in_channels=source.channels,
                  out_channels=channels, height=source.height, width=source.width, stride=stride,
                  channel_offset=offset, table=table)  # fmt: skip
        self.keep(new)

    def pool(self, source):
        kernel = self.pick([k for k in (1, 2, 3, 3, 5, 7) if k <= min(source.height, source.width)])
        average = self.chance(0.4)
        padding = 0 if average else int(self.rng.integers(kernel // 2 + 1))
        shape = {"height": source.height, "width": source.width, "kernel": kernel, "padding": padding}
        shape["stride"] = 2 if kernel > 1 and self.chance(0.5) else int(self.rng.integers(1, kernel + 1))
        signed = source.signed if self.chance(0.8) else not source.signed
        new = self.new_map((source.channels, *output_size({"opcode": isa.POOL, **shape})), signed)
        if new is None:
            return
        flags = isa.FLAG_IN_SIGNED * source.signed | isa.FLAG_RELU * (not signed) | isa.FLAG_AVERAGE * average
        self.emit(isa.POOL, flags=flags, input=source.base, output=new.base, channels=source.channels,
                  scale=self.scale(1 / kernel**2), **shape)  # fmt: skip
        self.keep(new)

    def features(self, source):
        """Pooled features in vector memory: (address, count)."""
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
        self.maps = [old for old in self.maps if old.mask not in changed]

    @contextmanager
    def skippable(self, source):
        """What is emitted inside may be jumped over: it leaves no new map or mask behind."""
        at, gate = self.decide(source, 1)[0], self.gates
        self.gates, before, masks = self.gates + 1, list(self.maps), dict(self.masks)
        index, at_mask = len(self.code), FIELDS_AT[isa.GATE_CHANNEL]["mask"]
        self.emit(
            isa.GATE_LAYER, input=at, threshold=self.threshold(), target=0, gate=gate, channels=self.pick(self.counts)
        )
        self.depth += 1
        yield
        self.depth -= 1
        self.code[index][FIELDS_AT[isa.GATE_LAYER]["target"]] = len(self.code)
        self.maps, self.masks = before, masks
        self.forget_masks({int(words[at_mask]) for words in self.code[index:] if words[0] == isa.GATE_CHANNEL})
