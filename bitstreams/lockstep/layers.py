"""Random CONVs for the lockstep: shapes, kernels, strides, masks, bands, identities, weights and maps.

layer = random_layer(np.random.default_rng(7), cycles=4000)
maps, vector = golden(layer)          # tile memory and vector memory afterwards, by the golden model
"""

from dataclasses import dataclass

import numpy as np

from hls import isa, schedule
from hls.golden import Engine
from hls.program import Limits, decode, encode, validate
from hls.record import Start
from hls.shapes import conv_row, inner_rows, output_size, tiles

_BYTES = isa.TILE**2


@dataclass(frozen=True)
class Layer:
    """A CONV with all that it reads.

    words: the instruction, (INSTRUCTION_WORDS,) int32. lists: of each mask from 1 on, its active channels in rising
    order. weights: int8. tables: int32. maps: (TILE_WORDS, 64) uint8 and vector: (VECTOR_WORDS,) int32 before it runs.
    """

    words: np.ndarray
    lists: tuple
    weights: np.ndarray
    tables: np.ndarray
    maps: np.ndarray
    vector: np.ndarray

    @property
    def fields(self):
        return decode(self.words)

    @property
    def active(self):
        """(active input channels, active output channels)."""
        fields = self.fields
        return tuple(len(self.lists[fields[mask] - 1]) if fields[mask] else fields[channels]
                     for mask, channels in (("in_mask", "in_channels"), ("out_mask", "out_channels")))  # fmt: skip

    @property
    def cycles(self):
        """Iterations of the loop as hls/schedule.py plans them for a bus that never waits."""
        active_in, active_out = self.active
        return schedule.conv_plan(self.fields, active_in, active_out).cycles if active_out else 0

    @property
    def name(self):
        """What it is, in a line."""
        f, (active_in, active_out) = self.fields, self.active
        shape = f"{f['in_channels']} → {f['out_channels']} channels of {f['height']} × {f['width']}"
        return f"{shape}, kernel {f['kernel']}, stride {f['stride']}, active {active_in} → {active_out}"


def random_layer(rng, cycles):
    """A Layer whose loop takes at most so many iterations."""
    while True:
        layer = _drawn(rng)
        if layer is not None and layer.cycles <= cycles:
            return layer


def _drawn(rng):
    """A Layer, or None where it does not fit tile memory or a lane."""
    most = int(rng.choice((1, 8, 9, 16, 33)))
    fields = {
        "height": int(rng.integers(1, most + 1)), "width": int(rng.integers(1, most + 1)),
        "in_channels": int(rng.integers(1, 25)), "out_channels": int(rng.integers(1, 25)),
        "kernel": int(rng.choice((1, 3, 3, 5, 7))), "stride": int(rng.integers(1, 3)),
        "in_mask": int(rng.choice((0, 0, 1, 3))), "out_mask": int(rng.choice((0, 0, 2)))}  # fmt: skip
    adds = rng.random() < 0.4
    flags = isa.FLAG_IN_SIGNED * rng.integers(2) | isa.FLAG_RELU * rng.integers(2)
    flags |= isa.FLAG_ADD * adds | isa.FLAG_ADD_SIGNED * rng.integers(2)
    halo = isa.FLAG_HALO_TOP * (rng.random() < 0.15) | isa.FLAG_HALO_BOTTOM * (rng.random() < 0.15)
    fields["flags"] = int(flags)
    banded = {**fields, "flags": int(flags | halo)}
    fields = banded if inner_rows(banded) > 0 else fields
    fields["opcode"] = isa.CONV
    size = output_size(fields)
    ins, outs = fields["in_channels"] * tiles(fields["height"], fields["width"]), fields["out_channels"] * tiles(*size)
    if conv_row(fields) > isa.LANE_BYTES or ins + 2 * outs > isa.TILE_WORDS // 2:
        return None
    at = rng.integers(0, isa.TILE_WORDS - ins - 2 * outs, endpoint=True)
    fields["input"], fields["output"] = int(at), int(at) + ins
    fields["identity"] = int(at) + ins + outs * int(rng.integers(2))
    fields["pool"] = int(rng.integers(isa.VECTOR_WORDS - fields["out_channels"])) if rng.random() < 0.5 else -1
    return _filled(rng, fields)


def _filled(rng, fields):
    """The Layer of these fields, its memories random: bytes of weights are often at their ends."""
    count = fields["out_channels"] * conv_row(fields)
    weights = np.where(rng.random(count) < 0.2, rng.choice((-128, -127, 127), count), rng.integers(-128, 128, count))
    fields["weights"] = isa.WEIGHT_ALIGN * int(rng.integers(3))
    fields["table"] = 2 * int(rng.integers(3))
    lists = tuple(_list(rng, fields, mask) for mask in range(1, isa.MASKS))
    inputs = len(lists[fields["in_mask"] - 1]) if fields["in_mask"] else fields["in_channels"]
    spread = 10900 * max(1, fields["kernel"] ** 2 * inputs) ** 0.5  # of the sums, a standard deviation
    rows = 1 + fields["out_channels"]
    shift = 16 + round(np.log2(spread / 80)) + rng.integers(-1, 3, rows)  # to bytes, and now and then far off
    shift = np.where(rng.random(rows) < 0.05, rng.integers(0, 64, rows), shift)
    scales = rng.integers(2**15, 2**16, rows) | shift << 16 | rng.integers(0, 2, rows) * -(2**31)
    table = np.stack([(rng.normal(0, spread, rows)).astype(np.int64), scales], 1)
    table[0] = int(rng.integers(1, 2**16)) | 18 << 16, int(rng.integers(2**16)) | 16 << 16  # of the pool, the identity
    return Layer(
        encode(**fields),
        lists,
        np.concatenate([np.zeros(fields["weights"], np.int8), weights.astype(np.int8)]),
        np.concatenate([np.zeros(fields["table"]), table.ravel()]).astype(np.int64).astype(np.uint32).view(np.int32),
        rng.integers(0, 256, (isa.TILE_WORDS, _BYTES), dtype=np.uint8),
        rng.integers(-(2**15), 2**15, isa.VECTOR_WORDS, dtype=np.int32),
    )


def _list(rng, fields, mask):
    """The active channels of a mask: any number of them, none and all among those."""
    of = fields["in_channels"] if mask == fields["in_mask"] else fields["out_channels"]
    share = rng.random() if rng.random() < 0.8 else rng.integers(2)
    return np.flatnonzero(rng.random(of) < share)


def golden(layer):
    """(tile memory, vector memory) after the golden model has run the layer. ValueError where its checks refuse it."""
    fields = layer.fields
    limits = Limits(1, len(layer.weights), len(layer.tables), 1, 1, 1, 0)
    engine = Engine(layer.words[None], layer.weights, layer.tables, Start(0, 1), limits)
    engine.tiles[:], engine.vector[:] = layer.maps, layer.vector
    engine.masks = [np.zeros(0, np.int64), *layer.lists]
    built_for = [0] * isa.MASKS
    for mask, channels in (("in_mask", "in_channels"), ("out_mask", "out_channels")):
        built_for[fields[mask]] = fields[channels]
    status = validate(layer.words, 0, limits, built_for)
    if status != isa.STATUS_OK:
        raise ValueError(f"{layer.name}: the golden model's checks give status {status}")
    engine.methods[isa.CONV](fields)
    return engine.tiles, engine.vector
