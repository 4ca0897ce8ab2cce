"""DenseNet-201 at 224 × 224, whose maps do not fit the chip: bits, and cycles of the modelled schedule.

    python -m bench densenet

Rows: densenet201.bit_exact (records in which golden model, engine and the layers' own logits agree, one per shape of
the engine's main loop), .cycles, .flops, .array_busy (share of the cycles that the multipliers alone would take),
.busy_without_affine_move (the same, if AFFINE and MOVE cost nothing),
.traffic_share (share in which maps move between chip and DDR), .instructions, .golden_seconds, .engine_seconds.
"""

import time
from collections import Counter

import numpy as np

from bench.networks.walk import busy
from export.compile.shapes import densenet201
from hls import cosim, cost, golden, isa
from hls.record import Start, agreed, decode


def run(rows, folders, options):
    """Add the rows of one image through the network."""
    compiled = densenet201()
    start = Start(compiled.gates, compiled.classes, map_words=compiled.map_words)
    arguments = compiled.program, compiled.weights, compiled.tables, compiled.sample.image[None], start
    began = time.perf_counter()
    expected = golden.run(*arguments)
    golden_s, results = time.perf_counter() - began, decode(expected, start)
    right = np.array_equal(results.logits[0], compiled.sample.logits)
    exact, engine_s = 0, 0.0
    for shape in cosim.SHAPES:
        cosim.run(*arguments[:3], np.zeros_like(arguments[3]), start, shape=shape)  # builds it, and leaves other maps
        began = time.perf_counter()
        found = cosim.run(*arguments, forget=0xA5, shape=shape)
        engine_s = engine_s or time.perf_counter() - began
        exact += int(right and np.array_equal(agreed(found), agreed(expected)))
    cycles, flops = int(results.cycles[0]), int(results.flops[0])
    of = spent(compiled.program)
    alone = of[isa.AFFINE] + of[isa.MOVE]
    rows.add("densenet201.bit_exact", exact, "records", "simulated", len(cosim.SHAPES))
    rows.add("densenet201.cycles", cycles, "cycles", "modelled", 1)
    rows.add("densenet201.flops", flops, "FLOPs", "simulated", 1)
    rows.add("densenet201.array_busy", busy(flops, cycles), "share", "modelled", 1)
    rows.add("densenet201.busy_without_affine_move", busy(flops, cycles - alone), "share", "modelled", 1)
    rows.add("densenet201.traffic_share", of[isa.MOVE] / cycles, "share", "modelled", 1)
    rows.add("densenet201.instructions", len(compiled.program), "instructions", "simulated", 1)
    rows.add("densenet201.golden_seconds", golden_s, "s", "measured", 1)
    rows.add("densenet201.engine_seconds", engine_s, "s", "measured", 1)


def spent(program):
    """Opcode → cycles of all its instructions, every channel active."""
    found = Counter()
    for pc, words in enumerate(program):
        found[int(words[0])] += cost.instruction_cost(words, pc=pc).cycles
    return found
