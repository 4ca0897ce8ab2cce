"""Random programs that are valid and meaningful, and mutations that break them; see hls/stress/builder.py.

A program is (program (n, 16) int32, weights int8, tables int32, images (N, H, W, C) uint8, Start). Golden model and
co-simulation clear their memories before each image, so that a mutation that reads what it did not write is defined.
"""

import numpy as np

from hls import cost, isa
from hls.record import NO_BUDGET, Start
from hls.stress.builder import FIELDS_AT, Builder

_TAP, _CONV = FIELDS_AT[isa.TAP], FIELDS_AT[isa.CONV]


def random_program(rng):
    """A random program with its data and start parameters."""
    builder = Builder(rng)
    builder.image()
    classifiers = []
    for _ in range(int(rng.integers(1, 12))):
        _step(builder, classifiers)
    if builder.chance(0.4 if classifiers else 0.05):
        builder.emit(isa.END)
    else:
        source = builder.pick(_full(builder))
        features = _features(builder, source) if builder.chance(0.4) else None
        _classify(builder, source, len(classifiers), features)
    _append(builder, classifiers)
    program = np.stack(builder.code)
    images = rng.integers(0, 256, (int(rng.integers(1, 4)), *np.roll(builder.shape, -1)), dtype=np.uint8)
    return program, builder.weights, builder.tables, images, _start(builder, program)


def mutate(program, rng):
    """A copy with one to three changes: a field replaced, output put on input; instructions copied or dropped."""
    program = program.copy()
    for _ in range(int(rng.integers(1, 4))):
        pc, kind = int(rng.integers(len(program))), int(rng.integers(10))
        at = FIELDS_AT.get(int(program[pc, 0]), {})
        if kind == 0:
            program[pc] = program[int(rng.integers(len(program)))]
        elif kind == 1 and len(program) > 1:
            program = np.delete(program, pc, axis=0)
        elif kind == 2:
            program = np.insert(program, pc, program[int(rng.integers(len(program)))], axis=0)
        elif kind == 3 and {"input", "output"} <= set(at):
            program[pc, at["output"]] = program[pc, at["input"]]
        else:
            word = int(rng.integers(1 + len(at)))
            program[pc, word] = _other(int(program[pc, word]), rng)
    return program


def _other(value, rng):
    near = [value + 1, value - 1, -value, value * 2, value // 2, value ^ (1 << int(rng.integers(31)))]
    far = [0, -1, 1, 2, 16, 2048, 2049, 4096, 6143, 6144, 65536, 1 << 30, 2**31 - 1, -(2**31)]
    choice = int(rng.choice(near + far + [int(rng.integers(-(2**31), 2**31))]))
    return (choice + 2**31) % 2**32 - 2**31


def _full(builder):
    """Maps that are written in every channel."""
    return [each for each in builder.maps if not each.mask]


def _step(builder, classifiers):
    """One layer, gated block or tap, chosen at random."""
    if builder.vector_at > isa.VECTOR_WORDS // 2:
        return
    kinds = ("conv",) * 4 + ("block",) * 4 + ("affine", "pool", "pool", "skip", "skip")
    kind = builder.pick(kinds + ("tap",) * 4 + ("move",) * 3)
    source = builder.pick(builder.maps if kind in ("conv", "tap") else _full(builder))
    if kind == "conv":
        builder.conv(source)
    elif kind == "block":
        _block(builder, source)
    elif kind == "affine":
        builder.affine(source)
    elif kind == "pool":
        builder.pool(source)
    elif kind == "move":
        builder.move(builder.pick(builder.maps + builder.far_maps * 4))
    elif kind == "tap":
        _tap(builder, source, classifiers)
    elif builder.depth < 2:
        with builder.skippable(source):
            for _ in range(int(builder.rng.integers(0, 4))):
                _step(builder, classifiers)


def _block(builder, source):
    """A residual block under a channel gate: into masked channels, and from them back onto the source."""
    channels = builder.pick(builder.counts)
    mask = builder.channel_gate(source, channels)
    inner = builder.conv(source, channels=channels, out_mask=mask)
    if inner and inner.shape[1:] == source.shape[1:]:
        builder.conv(inner, target=source)


def _tap(builder, source, classifiers):
    """A TAP; its classifier starts from the map, or from features pooled before the TAP."""
    features = None
    if not source.mask and builder.chance(0.5):
        features = _features(builder, source)
    else:
        builder.kept_maps = [source]
    main, maps, builder.code = builder.code, list(builder.maps), []
    _classify(builder, source, len(classifiers), features)
    builder.locked |= {int(words[_CONV["in_mask"]]) for words in builder.code if words[0] == isa.CONV}
    classifiers.append((len(main), builder.code))
    builder.code, builder.maps = main, maps
    own = int(builder.rng.choice([0, 0, 2**14, -(2**12), 2**31 - 1, -(2**31)]))
    builder.emit(isa.TAP, exit=len(classifiers) - 1, target=0, flops=0, cycles=0, threshold=own)


def _features(builder, source):
    """Pooled features, now and then through an LSTM, where the logits show its last bit."""
    features = builder.features(source)
    return builder.lstm(features) if builder.chance(0.4) else features


def _classify(builder, source, number, features=None):
    """From a map, or from its features, to EXIT."""
    if features is None:
        for _ in range(int(builder.rng.integers(0, 3))):
            inner = builder.conv(source, channels=builder.pick((3, 7, 13)), out_mask=0)
            source = inner or source
        if source.mask:  # no room for a convolution: classify by a map that is complete
            source = builder.pick(_full(builder))
        features = builder.features(source)
    raw = builder.chance(0.8)
    logits, _ = builder.fc(features, builder.classes, raw)
    scale = builder.scale(256 * builder.pick((1e-5, 3e-5, 1e-4)) if raw else builder.pick((0.2, 1, 5)))
    builder.emit(isa.EXIT, exit=number, input=logits, classes=builder.classes, scale=scale)


def _append(builder, classifiers):
    """Classifiers stand behind the main stream; now that their places are known, fill in the TAPs."""
    for index, code in classifiers:
        tap = builder.code[index]
        tap[_TAP["target"]] = len(builder.code)
        builder.code += code
        price = cost.classifier_cost(builder.code, int(tap[_TAP["target"]]))
        less = builder.rng.random() if builder.chance(0.02) else 1  # a TAP that says too little
        tap[_TAP["flops"]], tap[_TAP["cycles"]] = int(price.flops * less), int(price.cycles * less)


def _start(builder, program):
    rng, most = builder.rng, cost.worst_case(program)
    budgets = [NO_BUDGET, NO_BUDGET]
    for index in range(2):
        if builder.chance(0.4):
            most_ever = max((item[1 + index] for item in most), default=10**5)
            budgets[index] = int(most_ever * rng.uniform(0, 1.1))
        elif most and builder.chance(0.2):
            budgets[index] = max(0, builder.pick(most)[1 + index] - int(rng.integers(0, 2)))
    rule = builder.pick((isa.RULE_NONE, isa.RULE_NONE, *isa.RULES.values()))
    top = np.log(builder.classes) if rule == isa.RULE_ENTROPY else builder.pick((1, 1, 2 / builder.classes))
    threshold = (
        int(65536 * top * rng.random()) if builder.chance(0.9) else builder.pick((-(2**31), 2**31 - 1, 0, 65536))
    )
    target, map_words = int(rng.integers(builder.classes)), builder.far_at + int(rng.integers(0, 3))
    pool = builder.pick((1, 1, 2, 3, 4))
    floors = [int(rng.uniform(0, 1) ** 3 * budget) if pool > 1 and budget < NO_BUDGET else 0 for budget in budgets]
    return Start(builder.gates, builder.classes, *budgets, rule, threshold, target, map_words, pool, *floors)
