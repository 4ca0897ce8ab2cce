"""Programs at the edges of what the contract allows: largest sums, counts, kernels, gates and classes.

Each function gives a case like random_program's; a random seed that once failed belongs here too, as a fixed case.
"""

import numpy as np

from hls import isa
from hls.cost import instruction_cost
from hls.program import encode, row_bytes
from hls.record import Start
from tests.hls.bands import banded

RAMP = np.arange(-128, 128).astype(np.int8)  # IMAGE's table: pixel - 128
HALF = 16 << 16 | 32768  # a scale of 1/2
SMALL = 8 << 16 | 1  # of 1/256


def case(code, weights, tables, image, gates=0, classes=2, **start):
    weights = np.concatenate([np.tile(RAMP, image[2]), np.asarray(weights, np.int8).ravel()])
    images = np.stack([np.full(image, 255, np.uint8), np.random.default_rng(1).integers(0, 256, image, dtype=np.uint8)])
    tables = np.asarray(tables, np.int64).astype(np.int32).ravel()
    height, width, channels = image
    first = encode(isa.IMAGE, output=0, channels=channels, height=height, width=width, weights=0)
    return np.stack([first, *code]), weights, tables, images, Start(gates, classes, **start)


def last(at=0, classes=2, scale=HALF):
    return encode(isa.EXIT, exit=0, input=at, classes=classes, scale=scale)


def largest_sum():
    """LANE_BYTES of weights -127 and bytes 255: beyond int32 with the bias, beyond SUM_BITS, and within at the middle.

    Its channels are pooled as it goes.
    """
    count = isa.LANE_BYTES // 49
    base, largest = 256 * 3, count * 49 * 127 * 255
    copy = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED | isa.FLAG_RELU, input=0, output=1000, in_channels=3,
                  out_channels=count, height=7, width=7, stride=1, channel_offset=0, table=0, pool=-1,
                  pool_scale=0)  # fmt: skip
    conv = encode(isa.CONV, input=1000, output=3000, identity=0, in_channels=count,
                  out_channels=3, height=7, width=7, kernel=7, stride=1, in_mask=0, out_mask=0, weights=base,
                  table=2 * count, pool=0)  # fmt: skip
    affine = [(2**31 - 1, 16 << 16 | 65535)] * count
    rows = [
        (1, 0),
        (-(2**31), 40 << 16 | 40000),
        (2**31 - 1, 63 << 16 | 65535),
        (largest - 2**23, 22 << 16 | 3 - 2**31),
    ]
    return case(
        [copy, conv, last(classes=3)],
        np.full(3 * row_bytes(count * 49), -127),
        affine + rows,
        (7, 7, 3),
        classes=3,
    )


def largest_fc():
    """4096 vector entries hold inputs and outputs; raw sums saturate to int32."""
    spread = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=64, in_channels=1, out_channels=2048,
                    height=5, width=3, stride=1, channel_offset=0, table=0, pool=-1, pool_scale=0)  # fmt: skip
    pools = [
        encode(
            isa.GLOBAL_POOL,
            flags=isa.FLAG_IN_SIGNED,
            input=64,
            output=at,
            channels=count,
            height=5,
            width=3,
            scale=4000,
        )
        for at, count in ((0, 2048), (2048, 2038))
    ]
    fc = encode(isa.FC, flags=isa.FLAG_RAW, input=0, output=4086, inputs=4086, outputs=10, weights=256, table=4096)
    weights = np.repeat(np.array([127, -127, 1, 0, 5] * 2), row_bytes(4086))
    tables = [(25600, 8 << 16 | 1)] * 2048 + [(bias, 0) for bias in (2**31 - 1, -(2**31), 5, 0, -5) * 2]
    return case([spread, *pools, fc, last(4086, 10)], weights, tables, (5, 3, 1), classes=10)


def most_gates():
    """256 gates, as many taps as exit ids, and a list of 2048 active channels."""
    pool = encode(isa.GLOBAL_POOL, input=0, output=0, channels=2048, height=8, width=8, scale=1)
    fill = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=1, in_channels=1, out_channels=2047, height=8,
                  width=8, stride=1, channel_offset=2000, table=0, pool=-1, pool_scale=0)  # fmt: skip
    code = [fill, pool]
    price = instruction_cost(last(classes=10)).cycles
    for gate in range(0, 256, 2):
        pc = 1 + len(code)
        code.append(encode(isa.GATE_LAYER, input=gate, threshold=0, target=pc + 2, gate=gate, channels=2048))
        code.append(encode(isa.GATE_CHANNEL, input=0, channels=2048, threshold=gate, mask=1 + gate % 3, gate=gate + 1))
        code.append(encode(isa.TAP, exit=gate, target=1 + 2 + 128 * 3 + 1, flops=0, cycles=price, threshold=0))
    code += [encode(isa.END), last(classes=10)]
    return case(code, [], [(i * 100 - 90000, 9 << 16 | 3) for i in range(2047)], (8, 8, 1), gates=256, classes=10)


def most_classes():
    """1024 logits under the rule for a class, taken by the first classifier."""
    fill = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=8, in_channels=2, out_channels=1024, height=3,
                  width=5, stride=2, channel_offset=1023, table=0, pool=-1, pool_scale=0)  # fmt: skip
    pool = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=8, output=3072, channels=1024, height=2, width=3, scale=1
    )
    leave = last(3072, 1024, 13 << 16 | 40000)
    tap = encode(isa.TAP, exit=255, target=5, flops=0, cycles=instruction_cost(leave).cycles, threshold=0)
    code = [fill, pool, tap, encode(isa.END), leave]
    tables = [(i * 97 % 25600, 8 << 16 | 1) for i in range(1024)]
    return case(code, [], tables, (3, 5, 2), classes=1024, rule=isa.RULE_CLASS, threshold=50, target_class=1023)


def long_program():
    """As many instructions as there may be, most of them fetched from the DDR: LSTM steps that stay in their range."""
    row = row_bytes(1 + 32)
    weights = np.random.default_rng(2).integers(-127, 128, 4 * 32 * row)
    tables = [((-1) ** i * i * 2**14, 16 << 16 | 9000) for i in range(128)]
    pool = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=1, height=2, width=1, scale=65535
    )
    step = encode(isa.LSTM, input=0, output=9, inputs=1, hidden=32, weights=256, table=0)
    return case([pool, *[step] * (isa.MAX_INSTRUCTIONS - 3), last(9, 32)], weights, tables, (2, 1, 1), classes=32)


def widest_maps():
    """A map of 256 × 256 pixels, halved by POOL with the largest padding, then by a strided CONV."""
    pool = encode(isa.POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=1024, channels=1, height=256, width=256, kernel=7,
                  stride=2, padding=3, scale=0)  # fmt: skip
    conv = encode(isa.CONV, flags=isa.FLAG_IN_SIGNED, input=1024, output=2048, identity=0, in_channels=1,
                  out_channels=7, height=128, width=128, kernel=5, stride=2, in_mask=0, out_mask=0, weights=256,
                  table=0, pool=-1)  # fmt: skip
    gather = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=2048, output=0, channels=7, height=64, width=64, scale=1
    )
    weights = np.random.default_rng(3).integers(-127, 128, 7 * row_bytes(25))
    return case(
        [pool, conv, gather, last(0, 7)], weights, [(0, 0)] + [(99, 26 << 16 | 60000)] * 7, (256, 256, 1), classes=7
    )


def whole_memory():
    """MOVE of all of tile memory out to the DDR's map memory, from its end there to another place, and back."""
    far, words = isa.DDR_ADDRESS, isa.TILE_WORDS
    fill = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=2, in_channels=1, out_channels=words // 3,
                  height=16, width=8, stride=1, channel_offset=1, table=0, pool=-1, pool_scale=0)  # fmt: skip
    move = {"words": 2, "channels": words // 3, "mask": 0}
    code = [
        fill,
        encode(isa.MOVE, input=0, output=far, channels=1, words=words, input_pitch=words, output_pitch=words, mask=0),
        encode(isa.MOVE, input=far + 2, output=far + words, **move, input_pitch=2, output_pitch=3),
        encode(isa.MOVE, input=far + words, output=0, **move, input_pitch=3, output_pitch=3),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=7, height=16, width=16, scale=1),
        last(classes=7),
    ]
    tables = [(i * 5731 % 25600, 8 << 16 | 1) for i in range(words // 3)]
    return case(code, [], tables, (16, 8, 1), classes=7, map_words=2 * words)


def widest_band():
    """A map of 256 × 256 that fits no chip with its result: 7×7 at stride 2 in bands with halos, through the DDR."""
    far = isa.DDR_ADDRESS
    conv = {"opcode": isa.CONV, "flags": isa.FLAG_IN_SIGNED, "identity": 0, "in_channels": 3, "out_channels": 13}
    conv |= {"height": 256, "width": 256, "kernel": 7, "stride": 2, "in_mask": 0, "out_mask": 0, "weights": 256 * 3}
    words = 3 * 32 * 32
    out = {"channels": 1, "words": words, "input_pitch": words, "output_pitch": words, "mask": 0}
    code = [encode(isa.MOVE, input=0, output=far, **out)]
    code += banded({**conv, "table": 0, "pool": -1}, 64, far, far + words, 0, 2000)
    back = 13 * 16 * 16
    code.append(encode(isa.MOVE, input=far + words, output=7, channels=1, words=back, input_pitch=back,
                       output_pitch=back, mask=0))  # fmt: skip
    code.append(encode(isa.GLOBAL_POOL, flags=1, input=7, output=0, channels=13, height=128, width=128, scale=SMALL))
    weights = np.random.default_rng(4).integers(-127, 128, 13 * row_bytes(3 * 49))
    tables = [(0, 0)] + [(99, 26 << 16 | 60000)] * 13
    return case([*code, last(0, 13)], weights, tables, (256, 256, 3), classes=13, map_words=words + back)


def stale_list():
    """No channel of three is active, where a list of many stood before: its first was 2001, far behind the map."""
    fill = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=1, in_channels=1, out_channels=2047, height=8,
                  width=8, stride=1, channel_offset=2047, table=0, pool=0, pool_scale=1)  # fmt: skip
    gates = [
        encode(isa.GATE_CHANNEL, input=0, channels=channels, threshold=threshold, mask=1, gate=-1)
        for channels, threshold in ((2047, 0), (3, 2**31 - 1))
    ]
    conv = encode(isa.CONV, flags=isa.FLAG_IN_SIGNED, input=0, output=4096, identity=0, in_channels=3, out_channels=1,
                  height=256, width=256, kernel=3, stride=1, in_mask=1, out_mask=0, weights=256, table=2 * 2047,
                  pool=2001)  # fmt: skip
    tables = [((i - 2000) * 256, 8 << 16 | 1) for i in range(2047)] + [(20 << 16 | 1, 0), (77, 1)]
    return case([fill, *gates, conv, last(1999, 3)], np.ones(48), tables, (8, 8, 1), classes=3)


def last_words():
    """Each layer on a map that ends where tile memory ends; eight outputs, as many as are computed at once."""
    first, size = isa.TILE_WORDS - 8, {"height": 3, "width": 3}
    fill = {"flags": isa.FLAG_IN_SIGNED, "out_channels": 8, "stride": 1, "channel_offset": 0, "pool_scale": SMALL}
    conv = {"in_channels": 8, "out_channels": 8, "stride": 1, "in_mask": 0, "out_mask": 0, "identity": 0, "table": 0}
    conv |= {"flags": isa.FLAG_IN_SIGNED}
    code = [
        encode(isa.AFFINE, input=0, output=first, in_channels=1, table=0, pool=0, **fill, **size),
        encode(isa.CONV, input=first, output=100, kernel=3, weights=256, pool=8, **conv, **size),
        encode(isa.CONV, input=first, output=100, kernel=1, weights=256, pool=16, **conv, **size),
        encode(isa.AFFINE, input=first, output=100, in_channels=8, table=0, pool=24, **fill, **size),
        encode(isa.POOL, flags=isa.FLAG_IN_SIGNED, input=first, output=100, channels=8, kernel=3, stride=2, padding=1,
               scale=0, **size),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=100, output=32, channels=8, height=2, width=2, scale=1),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=first, output=40, channels=8, scale=1, **size),
        last(0, 48),
    ]  # fmt: skip
    weights = np.random.default_rng(5).integers(-128, 128, 8 * 72)
    return case(code, weights, [(i * 3000, 13 << 16 | 19) for i in range(9)], (3, 3, 1), classes=48)


EXTREMES = (
    largest_sum,
    largest_fc,
    most_gates,
    most_classes,
    long_program,
    widest_maps,
    whole_memory,
    widest_band,
    last_words,
    stale_list,
)
