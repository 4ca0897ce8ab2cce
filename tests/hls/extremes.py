"""Programs at the edges of what the contract allows: largest sums, counts, kernels, gates and classes.

Each function gives a case like random_program's; a random seed that once failed belongs here too, as a fixed case.
"""

import numpy as np

from hls import isa
from hls.program import encode, row_bytes
from hls.record import Start

RAMP = np.arange(-128, 128).astype(np.int8)  # IMAGE's table: pixel - 128
HALF = 16 << 16 | 32768  # a scale of 1/2


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
    """in_channels · kernel² = 65536 of weights -127 and bytes 255: just within int32, and beyond it with the bias."""
    count = 65536 // 49
    base = 256 * 3
    copy = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED | isa.FLAG_RELU, input=0, output=1000, in_channels=3,
                  out_channels=count, height=7, width=7, stride=1, channel_offset=0, table=0)  # fmt: skip
    conv = encode(isa.CONV, input=1000, output=3000, identity=0, in_channels=count,
                  out_channels=3, height=7, width=7, kernel=7, stride=1, in_mask=0, out_mask=0, weights=base,
                  table=2 * count)  # fmt: skip
    pool = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=3000, output=0, channels=3, height=7, width=7, scale=1
    )
    affine = [(2**31 - 1, 16 << 16 | 65535)] * count
    rows = [(0, 0), (-(2**31), 40 << 16 | 40000), (2**31 - 1, 63 << 16 | 65535), (7, 30 << 16 | 3 - 2**31)]
    return case(
        [copy, conv, pool, last(classes=3)],
        np.full(3 * row_bytes(count * 49), -127),
        affine + rows,
        (7, 7, 3),
        classes=3,
    )


def largest_fc():
    """4096 vector entries hold inputs and outputs; raw sums saturate to int32."""
    spread = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=64, in_channels=1, out_channels=2048,
                    height=5, width=3, stride=1, channel_offset=0, table=0)  # fmt: skip
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
                  width=8, stride=1, channel_offset=2000, table=0)  # fmt: skip
    code = [fill, pool]
    for gate in range(0, 256, 2):
        pc = 1 + len(code)
        code.append(encode(isa.GATE_LAYER, input=gate, threshold=0, target=pc + 2, gate=gate, channels=2048))
        code.append(encode(isa.GATE_CHANNEL, input=0, channels=2048, threshold=gate, mask=1 + gate % 3, gate=gate + 1))
        code.append(encode(isa.TAP, exit=gate, target=1 + 2 + 128 * 3 + 1, flops=0, cycles=80))
    code += [encode(isa.END), last(classes=10)]
    return case(code, [], [(i * 100 - 90000, 9 << 16 | 3) for i in range(2047)], (8, 8, 1), gates=256, classes=10)


def most_classes():
    """1024 logits under the rule for a class, taken by the first classifier."""
    fill = encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=8, in_channels=2, out_channels=1024, height=3,
                  width=5, stride=2, channel_offset=1023, table=0)  # fmt: skip
    pool = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=8, output=3072, channels=1024, height=2, width=3, scale=1
    )
    tap = encode(isa.TAP, exit=255, target=5, flops=0, cycles=40 + 4096)
    code = [fill, pool, tap, encode(isa.END), last(3072, 1024, 13 << 16 | 40000)]
    tables = [(i * 97 % 25600, 8 << 16 | 1) for i in range(1024)]
    return case(code, [], tables, (3, 5, 2), classes=1024, rule=isa.RULE_CLASS, threshold=50, target_class=1023)


def long_program():
    """4096 instructions, the last an EXIT after thousands of LSTM steps that never leave their range."""
    row = row_bytes(1 + 32)
    weights = np.random.default_rng(2).integers(-127, 128, 4 * 32 * row)
    tables = [((-1) ** i * i * 2**14, 16 << 16 | 9000) for i in range(128)]
    pool = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=1, height=2, width=1, scale=65535
    )
    step = encode(isa.LSTM, input=0, output=9, inputs=1, hidden=32, weights=256, table=0)
    return case([pool, *[step] * 4093, last(9, 32)], weights, tables, (2, 1, 1), classes=32)


def widest_maps():
    """A map of 256 × 256 pixels, halved by POOL with the largest padding, then by a strided CONV."""
    pool = encode(isa.POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=1024, channels=1, height=256, width=256, kernel=7,
                  stride=2, padding=3, scale=0)  # fmt: skip
    conv = encode(isa.CONV, flags=isa.FLAG_IN_SIGNED, input=1024, output=2048, identity=0, in_channels=1,
                  out_channels=7, height=128, width=128, kernel=5, stride=2, in_mask=0, out_mask=0, weights=256,
                  table=0)  # fmt: skip
    gather = encode(
        isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=2048, output=0, channels=7, height=64, width=64, scale=1
    )
    weights = np.random.default_rng(3).integers(-127, 128, 7 * row_bytes(25))
    return case(
        [pool, conv, gather, last(0, 7)], weights, [(0, 0)] + [(99, 26 << 16 | 60000)] * 7, (256, 256, 1), classes=7
    )


EXTREMES = (largest_sum, largest_fc, most_gates, most_classes, long_program, widest_maps)
