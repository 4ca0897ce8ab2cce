"""A package of ten instructions: two exits, one layer gate, random weights; for tests that need no real network."""

import numpy as np

from hls import isa
from hls.cost import classifier_cost, worst_case
from hls.package import Package, write
from hls.program import encode

CLASSES = ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
AVERAGE = {"flops": [100.0, 2000.0], "accuracy": [0.3, 0.5], "thresholds": [[200_000], [0]]}  # all at the tap, or none
SCALE = 8 << 16 | 1  # · 2^-8


def program(height=32, classes=10):
    """IMAGE, pool, TAP; a gated convolution; the main classifier; the tap's classifier."""
    tap = {"exit": 0, "target": 10, "flops": 0, "cycles": 0, "threshold": 0}
    code = [
        encode(isa.IMAGE, output=0, channels=3, height=height, width=height, weights=0),
        encode(isa.GLOBAL_POOL, flags=1, input=0, output=0, channels=3, height=height, width=height, scale=SCALE),
        encode(isa.TAP, **tap),
        encode(isa.FC, flags=isa.FLAG_RAW, input=0, output=16, inputs=3, outputs=1, weights=768, table=0),
        encode(isa.GATE_LAYER, input=16, threshold=15000, target=7, gate=0, channels=4),
        _conv(height),
        encode(isa.GLOBAL_POOL, flags=1, input=64, output=0, channels=3, height=height, width=height, scale=SCALE),
        encode(isa.FC, flags=isa.FLAG_RAW, input=0, output=20, inputs=3, outputs=classes, weights=1024, table=0),
        encode(isa.EXIT, exit=1, input=20, classes=classes, scale=SCALE),
        encode(isa.END),
        encode(isa.FC, flags=isa.FLAG_RAW, input=0, output=20, inputs=3, outputs=classes, weights=2048, table=0),
        encode(isa.EXIT, exit=0, input=20, classes=classes, scale=SCALE),
    ]
    cost = classifier_cost(np.stack(code), tap["target"])
    code[2] = encode(isa.TAP, **{**tap, "flops": cost.flops, "cycles": cost.cycles})
    return np.stack(code)


def _conv(height):
    shape = {"in_channels": 3, "out_channels": 4, "height": height, "width": height, "kernel": 1, "stride": 1}
    fields = {
        "flags": 1,
        "input": 0,
        "output": 64,
        "identity": 0,
        "in_mask": 0,
        "out_mask": 0,
        "weights": 1536,
        "table": 0,
        "pool": -1,
    }
    return encode(isa.CONV, **shape, **fields)


def package(seed=1, height=32, classes=10, dataset="fashion-mnist", code=None):
    """The package; `code` replaces its program."""
    code = program(height, classes) if code is None else code
    cost = classifier_cost(code, 10)
    exits = [
        {
            "name": ("tap", "end")[item.exit],
            "block": 0,
            "flops": item.flops,
            "cycles": item.cycles,
            "classifier_flops": cost.flops,
            "classifier_cycles": cost.cycles,
        }
        for item in worst_case(code)
    ]
    meta = {
        "format": 1,
        "isa": isa.HASH,
        "name": "tiny",
        "architecture": "tiny-ddi",
        "dataset": dataset,
        "input": {"height": height, "width": height, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3, "step": 0.1},
        "classes": [*CLASSES, *map(str, range(100))][:classes],
        "exits": exits,
        "gates": [{"block": 0, "stage": 0, "channels": 4}],
        "map_words": 0,
        "steps": {},
        "training": {},
        "accuracy": {},
        "average": AVERAGE,
    }
    random = np.random.default_rng(seed)
    tables = np.zeros(256, np.int32)
    tables[1::2] = SCALE
    return Package(code, random.integers(-127, 128, 4096, dtype=np.int8), tables, meta)


def save(path, **options):
    """Write the package at `path` and give the path as text."""
    write(path, package(**options))
    return str(path)
