"""A small package for tests: a random program with the meta that belongs to it."""

import numpy as np

from hls import isa
from hls.cost import classifier_cost, worst_case
from hls.package import Package
from hls.program import decode
from hls.stress.random_programs import random_program


def random_package(seed=0):
    """The first valid package from `seed` on, with taps, gates and some weights."""
    while True:
        program, weights, tables, images, start = random_program(np.random.default_rng(seed))
        seed += 1
        taps = [decode(words) for words in program if words[0] == isa.TAP]
        honest = all(classifier_cost(program, tap["target"])[:2] == (tap["flops"], tap["cycles"]) for tap in taps)
        if honest and taps and start.gates:
            # No package holds a weight of -128, which a random program may.
            return Package(program, np.maximum(weights, -127), tables, meta_of(program, images, start, taps))


def meta_of(program, images, start, taps):
    """Meta that agrees with the program."""
    _, height, width, channels = images.shape
    gates = [{"block": number, "stage": 0, "channels": isa.MAX_CHANNELS} for number in range(start.gates)]
    exits = []
    for item in worst_case(program):
        own = [classifier_cost(program, tap["target"]) for tap in taps if tap["exit"] == item.exit]
        flops, cycles = own[0][:2] if own else (0, 0)
        exits.append({"name": f"exit {item.exit}", "block": item.exit, "flops": item.flops, "cycles": item.cycles,
                      "classifier_flops": flops, "classifier_cycles": cycles})  # fmt: skip
    statistics = {"mean": [0.5] * channels, "std": [0.25] * channels, "step": 0.01}
    return {
        "format": 1,
        "isa": isa.HASH,
        "name": "random",
        "architecture": "random",
        "dataset": "none",
        "input": {"height": height, "width": width, "channels": channels, **statistics},
        "classes": [f"class {number}" for number in range(start.classes)],
        "exits": exits,
        "gates": gates,
        "map_words": start.map_words,
        "steps": {},
        "average": {},
        "training": {"seed": 0},
        "accuracy": {},
    }
