"""The package's meta: what it must hold for the host to rely on it, and that it agrees with the program.

format, isa         1 and isa.HASH
name, architecture, dataset
input               height, width, channels; mean, std per channel; step of the input map: the float value of 1;
                    images, where they are one's own: how they are read, divided and told apart (data/parts.py)
classes             names, in the order of the logits
exits               in order: name, block, flops, cycles (the budget that is always enough, hls.cost.worst_case),
                    classifier_flops, classifier_cycles
gates               in the order of the trace: block, stage, channels
map_words           words of the DDR's map memory that the program uses
steps, training, accuracy       anything; steps: of the network's maps, as the input's
average             {}, or thresholds of entropy (nats · 2^16) for a budget on the average, found on validation images:
                    flops, accuracy, thresholds (one an exit but the last), each a list from cheap to dear
class_exits         where there are such: one a program of `variants`, with name, class, the program's first instruction
                    and their count, exits (those that a gate opens have the number of their class), gates, map_words,
                    and how it was chosen
"""

import math

from hls import cost, isa
from hls.errors import UserError
from hls.program import decode

KEYS = ("format", "isa", "name", "architecture", "dataset", "input", "classes", "exits", "gates", "map_words")
KEYS += ("steps", "training", "accuracy", "average")
OPTIONAL = ("class_exits",)
OWN = ("exits", "gates", "map_words")  # what a class exit has of its own
EXIT_COUNTS = ("block", "flops", "cycles", "classifier_flops", "classifier_cycles")
GATE_COUNTS = ("block", "stage", "channels")


class MetaError(UserError):
    """A meta that lacks something, or that says another thing than its program."""


def check_meta(meta):
    """Structure alone: keys, types and ranges. MetaError names the first that is wrong."""
    if set(meta) - set(OPTIONAL) != set(KEYS):
        unknown, missing = sorted(set(meta) - set(KEYS) - set(OPTIONAL)), sorted(set(KEYS) - set(meta))
        raise MetaError(f"meta has unknown keys {unknown} and lacks {missing}")
    for key in ("name", "architecture", "dataset"):
        if not isinstance(meta[key], str) or not meta[key]:
            raise MetaError(f"meta's {key} is {meta[key]!r}, expected a name")
    for key in ("steps", "training", "accuracy"):
        if not isinstance(meta[key], dict):
            raise MetaError(f"meta's {key} is {meta[key]!r}, expected an object")
    _check_input(meta["input"])
    classes = meta["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise MetaError(f"meta's classes are {classes!r}, expected a list of names")
    if not 1 <= len(classes) <= isa.MAX_CLASSES:
        raise MetaError(f"meta has {len(classes)} classes, expected 1 to {isa.MAX_CLASSES}")
    _check_own(meta)
    _check_average(meta["average"], len(meta["exits"]) - 1)
    _check_class_exits(meta.get("class_exits", []), len(classes))


def _check_own(meta):
    """What belongs to a program: exits, gates and map_words."""
    if not _is_count(meta["map_words"]) or meta["map_words"] >= isa.DDR_ADDRESS:
        raise MetaError(f"meta's map_words is {meta['map_words']!r}, expected 0 to {isa.DDR_ADDRESS - 1}")
    for key, counts in (("exits", EXIT_COUNTS), ("gates", GATE_COUNTS)):
        if not isinstance(meta[key], list):
            raise MetaError(f"meta's {key} are {meta[key]!r}, expected a list")
        for index, item in enumerate(meta[key]):
            if not isinstance(item, dict) or not all(_is_count(item.get(name)) for name in counts):
                raise MetaError(f"meta's {key}[{index}] is {item!r}, expected whole numbers {', '.join(counts)}")
    for index, item in enumerate(meta["exits"]):
        if not isinstance(item.get("name"), str):
            raise MetaError(f"meta's exits[{index}] has the name {item.get('name')!r}, expected text")


def _check_class_exits(items, classes):
    if not isinstance(items, list) or not all(isinstance(item, dict) and set(OWN) <= set(item) for item in items):
        raise MetaError(f"meta's class_exits are no list of objects with {', '.join(OWN)}")
    names, start = [item.get("name") for item in items], 0
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise MetaError(f"meta's class_exits have the names {names}, expected each once")
    for item in items:
        numbers = [item.get(key) for key in ("class", "first", "count")]
        if not all(map(_is_count, numbers)) or numbers[0] >= classes or numbers[1] != start:
            raise MetaError(f"meta's class exit {item['name']} has class, first and count {numbers}")
        start += numbers[2]
        _check_own(item)


def _check_input(value):
    if not isinstance(value, dict):
        raise MetaError(f"meta's input is {value!r}, expected an object")
    for axis, most in (("height", isa.MAX_MAP), ("width", isa.MAX_MAP), ("channels", isa.MAX_CHANNELS)):
        if not _is_count(value.get(axis)) or not 1 <= value[axis] <= most:
            raise MetaError(f"meta's input {axis} is {value.get(axis)!r}, expected 1 to {most}")
    for key in ("mean", "std"):
        numbers = value.get(key)
        if not isinstance(numbers, list) or len(numbers) != value["channels"] or not all(map(_is_number, numbers)):
            raise MetaError(f"meta's input {key} is {numbers!r}, expected {value['channels']} numbers")
    if not isinstance(value.get("images", {}), dict):
        raise MetaError(f"meta's input images is {value['images']!r}, expected an object")
    if min(value["std"]) <= 0 or not _is_number(value.get("step")) or value["step"] <= 0:
        raise MetaError(f"meta's input std {value['std']} and step {value.get('step')!r} must be above 0")


def _check_average(table, exits):
    if table == {}:
        return
    if not isinstance(table, dict) or not {"flops", "accuracy", "thresholds"} <= set(table):
        raise MetaError(f"meta's average is {table!r}, expected flops, accuracy and thresholds")
    columns = table["flops"], table["accuracy"], table["thresholds"]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:
        raise MetaError("meta's average has columns of different length, expected one entry a setting in each")
    if not all(map(_is_number, [*table["flops"], *table["accuracy"]])) or table["flops"] != sorted(table["flops"]):
        raise MetaError("meta's average has flops or accuracy that are no numbers in rising order")
    for row in table["thresholds"]:
        if not isinstance(row, list) or len(row) != exits or not all(_is_count(one) and one < 2**31 for one in row):
            raise MetaError(f"meta's average has the thresholds {row!r}, expected {exits} whole numbers")


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_agreement(meta, program):
    """Exits and gates of meta are the program's, which program.check has passed; MetaError otherwise."""
    worst = cost.worst_case(program)
    if [item.exit for item in worst] != list(range(len(meta["exits"]))) or not worst:
        raise MetaError(f"meta lists {len(meta['exits'])} exits, the program reaches {[item.exit for item in worst]}")
    for said, found in zip(meta["exits"], worst):
        if (said["flops"], said["cycles"]) != (found.flops, found.cycles):
            raise MetaError(
                f"meta says {said['flops']} FLOPs and {said['cycles']} cycles for exit {found.exit}, "
                f"the program takes {found.flops} and {found.cycles}"
            )
    used = set()
    for pc, words in enumerate(program):
        fields = decode(words)
        if fields["opcode"] == isa.TAP:
            _check_tap(pc, fields, program, meta["exits"])
        if fields.get("gate", -1) >= 0:
            used.add(fields["gate"])
            if fields["channels"] > meta["gates"][fields["gate"]]["channels"]:
                raise MetaError(
                    f"the gate at instruction {pc} has {fields['channels']} channels, "
                    f"meta says {meta['gates'][fields['gate']]['channels']}"
                )
    if used != set(range(len(meta["gates"]))):
        raise MetaError(f"meta lists {len(meta['gates'])} gates, the program has {sorted(used)}")


def _check_tap(pc, fields, program, exits):
    found = cost.classifier_cost(program, fields["target"])
    if (fields["flops"], fields["cycles"]) != found[:2]:
        raise MetaError(
            f"the TAP at instruction {pc} reserves {fields['flops']} FLOPs and {fields['cycles']} cycles, "
            f"its classifier takes {found.flops} and {found.cycles}"
        )
    last = next(words for words in program[fields["target"] :] if int(words[0]) == isa.EXIT)
    if fields["exit"] >= len(exits):
        raise MetaError(f"the TAP at instruction {pc} is of exit {fields['exit']}, meta lists {len(exits)}")
    said = exits[fields["exit"]]
    if decode(last)["exit"] != fields["exit"]:
        raise MetaError(
            f"the TAP at instruction {pc} is of exit {fields['exit']}, its classifier of {decode(last)['exit']}"
        )
    if (said["classifier_flops"], said["classifier_cycles"]) != found[:2]:
        raise MetaError(
            f"meta says {said['classifier_flops']} FLOPs and {said['classifier_cycles']} cycles for the "
            f"classifier of exit {fields['exit']}, it takes {found.flops} and {found.cycles}"
        )
