"""Mutated instructions and programs for hls/stress/fuzz.py: bits, boundary values, exchanged fields, start parameters.

case = make_case(bases, np.random.default_rng(seed))   # hls.stress.driver.Case
"""

from dataclasses import fields, replace

import numpy as np

from hls import isa
from hls.cost import instruction_cost
from hls.program import Limits, decode, encode, validate
from hls.stress.driver import Case, scalars

MAX_CYCLES = 1 << 12  # of one mutated instruction, so that a million words take minutes
INT32 = (-(2**31), 2**31 - 1)
_SIZES = sorted({value + near for name, value in vars(isa).items() if name.isupper() and isinstance(value, int)
                 for near in (-1, 0, 1)} | {-2, -(2**30), 2**16, 2**16 + 1, 2**30, *INT32})  # fmt: skip


def limits_of(case, bases):
    """hls.program.Limits of a case."""
    values = scalars(case, bases)
    return Limits(**{each.name: values[each.name] for each in fields(Limits) if each.name in values})


def mutate(words, others, limits, rng):
    """A copy of one instruction with up to three changes; `others` is a program to copy from."""
    words = words.copy()
    for _ in range(int(rng.choice((0, 1, 1, 1, 2, 3)))):
        kind, other = int(rng.integers(9)), others[int(rng.integers(len(others)))]
        used = 1 + len(isa.FIELDS.get(int(words[0]), ()))
        one, two = (int(at) for at in rng.integers(1 if used > 1 else 0, used, 2))
        if kind == 0:
            words[one] ^= np.int32(1 << int(rng.integers(31)))
        elif kind == 1:
            words[one] = _SIZES[int(rng.integers(len(_SIZES)))]
        elif kind == 2:
            words[[one, two]] = words[[two, one]]
        elif kind == 3:
            words[one] = other[one]
        elif kind == 4:
            words[0] = int(rng.choice([*isa.OPCODES.values(), max(isa.OPCODES.values()) + 1, -1, *INT32]))
        elif kind == 5:
            words[one] = rng.integers(*INT32) >> int(rng.integers(32))
        elif kind == 6:
            words[one] = _wrap(int(words[one]) + int(rng.integers(-16, 17)))
        elif kind == 7:
            near = (limits.weight_bytes, limits.table_words, limits.instructions, limits.image_bytes)
            words[one] = _wrap(near[int(rng.integers(len(near)))] - int(rng.integers(-16, 65)))
        else:
            words = other.copy()
    return words


def _wrap(value):
    return (value + 2**31) % 2**32 - 2**31


def make_case(bases, rng):
    """A mutated instruction where the engine comes to it."""
    number = int(rng.integers(len(bases)))
    base, other = bases[number], bases[int(rng.integers(len(bases)))]
    start = replace(_alone(base.start), gates=max(1, base.start.gates), rule=isa.RULE_NONE)
    at = int(rng.integers(len(base.program)))
    words = mutate(base.program[at], other.program, limits_of(Case(number, start), bases), rng)
    masks = _masks(words, rng)
    in_classifier = rng.random() < 0.25 and not _is_long(words)
    before = len(masks) + 1 + in_classifier
    target = before + at
    if in_classifier:
        jump = [encode(isa.TAP, exit=0, target=target, flops=0, cycles=0, threshold=0), encode(isa.END)]
    else:  # no vector is above the threshold, so that the gate skips to its target
        jump = [encode(isa.GATE_LAYER, input=0, threshold=INT32[1], target=target, gate=0, channels=0)]
    patches = dict(enumerate([*masks, *jump])) | {target: words}
    if at + 1 < len(base.program):
        patches[target + 1] = encode(isa.END)  # what follows is another case's
    spent = sum(instruction_cost(row)[1] for row in [*masks, *jump])
    budget = spent + int(2 ** rng.uniform(0, np.log2(MAX_CYCLES)))
    path = (*((pc, False) for pc in range(before)), (target, in_classifier))
    case = Case(number, replace(start, budget_cycles=budget), before, patches=patches, path=path)
    if rng.random() < 0.1:
        _mutate_start(case, scalars(case, bases), rng)
    return case


def _alone(start):
    """Every image with a budget of its own."""
    return replace(start, pool=1, floor_flops=0, floor_cycles=0)


def _masks(words, rng):
    """GATE_CHANNELs that build some of the masks, often for as many channels as the instruction wants."""
    wanted, code = [int(word) for word in words[1:] if 1 <= word <= isa.MAX_CHANNELS] or [1], []
    for mask in range(1, isa.MASKS):
        if rng.random() < 0.3:
            channels = int(rng.choice(wanted)) if rng.random() < 0.8 else int(rng.integers(1, 100))
            threshold = int(rng.choice([*INT32, 0]))
            code.append(encode(isa.GATE_CHANNEL, input=0, channels=channels, threshold=threshold, mask=mask, gate=-1))
    return code


def _is_long(words):
    """Would the instruction take long, were it run without a budget?"""
    if int(words[0]) not in isa.FIELDS:
        return False
    most, classes = INT32[1], decode(words).get("classes", 1)
    fits = validate(words, 0, Limits(isa.MAX_INSTRUCTIONS, most, most, most, isa.MAX_GATES, classes)) == isa.STATUS_OK
    return fits and instruction_cost(words)[1] > MAX_CYCLES


def _mutate_start(case, truth, rng):
    """Another start parameter: outside its range, or less than what there is."""
    less = ("instructions", "weight_bytes", "table_words", "image_bytes", "images_count")  # never more
    free = ("gates", "classes", "rule", "threshold", "target_class", "pool")
    values = {name: min(int(rng.choice([-1, 0, 1, 2, truth[name] - 1, INT32[0]])), truth[name]) for name in less}
    values |= {name: int(rng.choice([-1, 0, 1, 2, 3, 4, *INT32, isa.MAX_GATES + 1, isa.MAX_CLASSES])) for name in free}
    budgets = ("budget_flops", "budget_cycles")
    values |= {name: int(rng.choice(np.array([2**63, 2**64 - 1], np.uint64))) for name in budgets}
    values["map_words"] = int(rng.choice([-1, 0, 7, isa.DDR_ADDRESS]))
    name = sorted(values)[int(rng.integers(len(values)))]
    case.scalars[name] = values[name]
    if name == "pool":  # its history is all 0, so that other floors are refused; budgets may be too large to share
        case.scalars["pool"] = int(rng.choice([-1, 0, 2, 3, isa.MAX_POOL, isa.MAX_POOL + 1, *INT32]))
        case.scalars["floor_cycles"] = int(rng.choice([0, 0, 1, MAX_CYCLES, 2**62]))
        case.scalars["budget_flops"] = int(rng.choice([2**63 - 1, 2**isa.POOLED_BITS, 2**isa.POOLED_BITS - 1]))


def make_program(bases, rng):
    """A whole program with a few mutated instructions, some exchanged, repeated or dropped."""
    number = int(rng.integers(len(bases)))
    base, other = bases[number], bases[int(rng.integers(len(bases)))]
    words, limits = base.program.copy(), limits_of(Case(number, base.start), bases)
    for _ in range(int(rng.integers(1, 4))):
        at, kind = int(rng.integers(len(words))), int(rng.integers(6))
        if kind == 0 and len(words) > 1:
            words = np.delete(words, at, axis=0)
        elif kind == 1 and len(words) < isa.MAX_INSTRUCTIONS:
            words = np.insert(words, at, words[int(rng.integers(len(words)))], axis=0)
        else:
            words[at] = mutate(words[at], other.program, limits, rng)
    budget = min(base.start.budget_cycles, 16 * MAX_CYCLES)
    start = replace(base.start, budget_cycles=budget, floor_flops=0, floor_cycles=0)  # the pool's history is all 0
    return Case(number, start, instructions=len(words), patches=dict(enumerate(words)), images=len(base.images))
