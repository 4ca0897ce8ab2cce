"""Whole maps of every layer, pixel by pixel: golden model, fast engine and the chip's loop give the same.

pytest --cosim tests/hls/test_layers.py

A case loads an image, runs one layer and shows each word that it wrote: pools over rectangles of a word tell apart
pixels that are wrong, that lie elsewhere, and that are not zero outside the map.
"""

import numpy as np
import pytest

from hls import isa
from hls.program import encode
from hls.record import Start
from hls.shapes import conv_row, filter_bytes, inner_rows, output_size, tiles
from hls.stress.builder import scale_word
from tests.hls.agreement import STALE, assert_same

pytestmark = pytest.mark.cosim
RECTANGLES = ((8, 8), (8, 4), (4, 8), (8, 1), (1, 8))  # of a word: all, a half, a column or a row
GATES, POOLED, SHOWN = 0, 64, 128  # vector memory: what masks are made of, pools of the layer, words of its map
ONE = 1  # the scale that changes nothing


class Case:
    """A program around one layer: an image of random bytes at 0, what the layer needs, and its words as logits."""

    def __init__(self, rng, channels, height, width):
        self.rng, self.shape, self.code = rng, (channels, height, width), []
        self.words = channels * tiles(height, width)
        self.weights, self.tables = rng.integers(-128, 128, 256 * channels, dtype=np.int8), np.zeros(0, np.int32)
        self.emit(isa.IMAGE, output=0, channels=channels, height=height, width=width, weights=0)

    def emit(self, opcode, **fields):
        self.code.append(encode(opcode, **fields))

    def add_table(self, biases, scale):
        at = len(self.tables)
        rows = np.stack([biases, [scale_word(scale * 2 ** self.rng.uniform(-1, 1)) for _ in biases]], 1)
        self.tables = np.concatenate([self.tables, rows.astype(np.int32).ravel()])
        return at

    def add_weights(self, count):
        """Half of them at the ends of a byte."""
        at, ends = len(self.weights), self.rng.choice([-128, -127, 127], count)
        new = np.where(self.rng.random(count) < 0.5, ends, self.rng.integers(-128, 128, count))
        self.weights = np.concatenate([self.weights, new.astype(np.int8)])
        return at

    def mask(self, number, base, channels, height, width):
        """A list of the channels whose pixels sum up to more than their median, or than nothing does."""
        self.emit(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=base, output=GATES, channels=channels,
                  height=height, width=width, scale=ONE)  # fmt: skip
        threshold = 2**31 - 1 if self.rng.random() < 0.1 else int(self.rng.normal(0, 300))
        self.emit(isa.GATE_CHANNEL, input=GATES, channels=channels, threshold=threshold, mask=number, gate=-1)

    def affine(self, base, channels, height, width, **fields):
        """A map of random numbers, of what stands at 0."""
        biases = self.rng.integers(-(2**15), 2**15, channels)
        fields = {"pool": -1, "pool_scale": 0, "channel_offset": 0, "stride": 1, "input": 0, **fields}
        self.emit(isa.AFFINE, output=base, out_channels=channels, height=height, width=width,
                  table=self.add_table(biases, 2**-isa.FRACTION_BITS), **fields)  # fmt: skip

    def agree(self, base, words, name, pooled=0):
        """Show the pools of the layer and `words` from `base` on; they are the same for all, and not all the same."""
        at = SHOWN
        for height, width in RECTANGLES:
            self.emit(isa.GLOBAL_POOL, input=base, output=at, channels=words, height=height, width=width, scale=ONE)
            at += words
        start, classes = SHOWN - pooled, at - SHOWN + pooled
        assert pooled <= SHOWN - POOLED and classes <= isa.MAX_CLASSES
        self.emit(isa.EXIT, exit=0, input=start, classes=classes, scale=ONE)
        channels, height, width = self.shape
        images = self.rng.integers(0, 256, (1, height, width, channels), dtype=np.uint8)
        case = np.stack(self.code), self.weights, self.tables, images, Start(0, classes)
        (record,) = assert_same(case, name, STALE)
        assert record[0] == isa.STATUS_OK
        return record[isa.RECORD_HEADER :][:classes]


def banded(rng, fields):
    """Flags of a band's halos, where the map is high enough for them."""
    flags = isa.FLAG_HALO_TOP * (rng.random() < 0.3) | isa.FLAG_HALO_BOTTOM * (rng.random() < 0.3)
    return flags if inner_rows({**fields, "flags": flags}) > 0 else 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("kernel", (1, 3, 5, 7))
def test_convolutions_that_add_in_place(kernel, stride, seed):
    """Every part of a word is written by itself at stride 2 and keeps the others, which are identities to come."""
    rng, lively = np.random.default_rng([kernel, stride, seed]), 0
    for _ in range(12):
        ins, outs = int(rng.integers(1, 10)), int(rng.integers(1, 20))
        height, width = (int(side) for side in rng.integers(1, (9, 33, 33)[seed % 3], 2))
        case = Case(rng, ins, height, width)
        fields = {"in_channels": ins, "out_channels": outs, "height": height, "width": width, "kernel": kernel}
        fields |= {"stride": stride, "in_mask": int(rng.integers(2)), "out_mask": 2 * int(rng.integers(2))}
        halo = banded(rng, fields)
        size = output_size({"opcode": isa.CONV, "flags": halo, **fields})
        outs = fields["out_channels"] = min(outs, max(1, 170 // tiles(*size)))
        base, words = case.words + 1, outs * tiles(*size)
        case.affine(base, outs, *size, in_channels=ins)
        if fields["in_mask"]:
            case.mask(1, 0, ins, height, width)
        if fields["out_mask"]:
            case.mask(2, base, outs, *size)
        flags = (
            int(rng.integers(4)) | isa.FLAG_ADD * int(rng.random() < 0.7) | isa.FLAG_ADD_SIGNED * int(rng.integers(2))
        )
        table = case.add_table(rng.integers(-3000, 3000, 1 + outs), 1 / (100 * kernel * ins**0.5))
        case.tables[table : table + 2] = scale_word(0.3), scale_word(0.7)
        weights = case.add_weights(outs * max(conv_row(fields), ins * filter_bytes(fields)))
        case.emit(isa.CONV, flags=flags | halo, input=0, output=base, identity=base, weights=weights, table=table,
                  pool=SHOWN - outs if fields["out_mask"] == 0 else -1, **fields)  # fmt: skip
        shown = case.agree(base, words, f"{fields}, flags {flags | halo}", outs if fields["out_mask"] == 0 else 0)
        lively += len(np.unique(shown)) > 1
    assert lively >= 9  # of twelve: a pixel or two may be nothing but zero


@pytest.mark.parametrize("average", (0, isa.FLAG_AVERAGE))
@pytest.mark.parametrize(("kernel", "stride"), [(k, s) for k in range(1, 8) for s in (1, 2) if s <= k])
def test_pools_of_every_kernel_and_padding(kernel, stride, average):
    """Signed and unsigned bytes, in and out; maps whose sides end within a part of a word; bands."""
    rng = np.random.default_rng([kernel, stride, average])
    for padding in range(1 if average else kernel // 2 + 1):
        for sign in range(4):
            height, width = (int(side) for side in rng.integers(max(1, kernel - 2 * padding), 27, 2))
            case = Case(rng, 3, height, width)
            fields = {"height": height, "width": width, "kernel": kernel, "stride": stride, "padding": padding}
            flags = sign | average | (banded(rng, fields) if 2 * padding == kernel - 1 else 0)
            size = output_size({"opcode": isa.POOL, "flags": flags, **fields})
            case.emit(isa.POOL, flags=flags, input=0, output=case.words, channels=3,
                      scale=scale_word(1.3 / kernel**2), **fields)  # fmt: skip
            case.agree(case.words, 3 * tiles(*size), f"{fields}, flags {flags}")


@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("sign", range(4))
def test_affines_with_their_pools(sign, stride):
    rng = np.random.default_rng([sign, stride])
    for offset in (0, 1, 3, 50):
        for _ in range(3):
            ins, outs = int(rng.integers(1, 9)), int(rng.integers(1, 20))
            height, width = (int(side) for side in rng.integers(1, 30, 2))
            case = Case(rng, ins, height, width)
            size = output_size({"opcode": isa.AFFINE, "height": height, "width": width, "stride": stride})
            outs = min(outs, 180 // tiles(*size))
            pooled = outs if rng.random() < 0.8 else 0
            case.affine(case.words, outs, height, width, flags=sign, in_channels=ins, stride=stride,
                        channel_offset=offset, pool=SHOWN - outs if pooled else -1,
                        pool_scale=scale_word(rng.uniform(0.1, 2), rng.random() < 0.3))  # fmt: skip
            case.agree(case.words, outs * tiles(*size), f"{ins} to {outs} of {height}×{width}", pooled)


@pytest.mark.parametrize("channels", range(1, 3 * isa.IMAGE_LANES + 2))
def test_images_of_every_group_of_channels(channels):
    rng = np.random.default_rng(channels)
    for _ in range(4):
        height, width = (int(side) for side in rng.integers(1, 34, 2))
        case = Case(rng, channels, height, width)
        if case.words <= 200:
            case.agree(0, case.words, f"{channels} channels of {height}×{width}")


@pytest.mark.parametrize(
    ("ins", "side", "stride", "masked"), [(455, 5, 1, 0), (455, 3, 1, 0), (455, 8, 2, 0), (256, 5, 2, 1)]
)
def test_a_row_of_weights_fills_its_lane(ins, side, stride, masked):
    """LANE_BYTES to the last byte, behind which a lane's words begin again: 455 · 9 bytes, or 256 · 16."""
    rng, outs = np.random.default_rng([side, stride]), 11
    case = Case(rng, 1, side, side)
    case.affine(1, ins, side, side, in_channels=1)
    fields = {"in_channels": ins, "out_channels": outs, "height": side, "width": side, "kernel": 3, "stride": stride}
    fields |= {"in_mask": masked, "out_mask": 0}
    assert conv_row(fields) == isa.LANE_BYTES
    if masked:
        case.emit(isa.GATE_CHANNEL, input=0, channels=ins, threshold=-(2**31), mask=1, gate=-1)
    table = case.add_table(rng.integers(-3000, 3000, 1 + outs), 1 / 5000)
    case.emit(isa.CONV, flags=isa.FLAG_IN_SIGNED, input=1, output=1 + ins, identity=0, table=table, pool=-1,
              weights=case.add_weights(outs * isa.LANE_BYTES), **fields)  # fmt: skip
    assert len(np.unique(case.agree(1 + ins, outs, f"{fields}"))) > outs


@pytest.mark.parametrize(("opcode", "fields"), [
    (isa.CONV, {"in_channels": 3, "out_channels": 2, "kernel": 3, "stride": 1, "in_mask": 0, "out_mask": 0,
                "identity": 0, "weights": 256, "table": 0, "pool": -1}),
    (isa.AFFINE, {"in_channels": 3, "out_channels": 2, "stride": 2, "channel_offset": 0, "table": 0, "pool": -1,
                  "pool_scale": 0}),
    (isa.POOL, {"channels": 3, "kernel": 3, "stride": 1, "padding": 1, "scale": 0}),
    (isa.GLOBAL_POOL, {"channels": 3, "scale": ONE}),
])  # fmt: skip
def test_maps_at_the_end_of_tile_memory(opcode, fields):
    """Nothing is read behind the last word: under a sanitizer by test_fuzz.py, here for its result."""
    rng = np.random.default_rng(opcode)
    case = Case(rng, 1, 7, 7)
    case.add_weights(2 * 32)
    case.add_table(rng.integers(-3000, 3000, 3), 1 / 500)
    first = isa.TILE_WORDS - 3
    case.affine(first, 3, 7, 7, in_channels=1)
    output = GATES if opcode == isa.GLOBAL_POOL else 9
    case.emit(opcode, input=first, output=output, height=7, width=7, **fields)
    case.agree(first if opcode == isa.GLOBAL_POOL else 9, 2, f"opcode {opcode}")
