"""Programs of the engine: encoding, decoding, listing, and the checks of docs/engine.md.

A program is an (n, INSTRUCTION_WORDS) int32 array. `validate` gives the status the engine would give for one
instruction; `check` is the static check of a whole program before it is written to a package or started.
"""

from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.shapes import (  # noqa: F401 (row_bytes and filter_bytes: for those who write programs)
    conv_row,
    filter_bytes,
    has_halo,
    inner_rows,
    output_size,
    row_bytes,
    table_rows,
    tiles,
    weight_size,
)

NAMES = {value: name for name, value in isa.OPCODES.items()}
CLASSIFIER_OPCODES = (isa.CONV, isa.AFFINE, isa.POOL, isa.GLOBAL_POOL, isa.FC, isa.EXIT)
STATUS_TEXT = {
    isa.STATUS_OK: "fine",
    isa.STATUS_BAD_OPCODE: "no such instruction, or one that a classifier must not hold",
    isa.STATUS_BAD_FIELD: "a count, size, flag, mask or id is outside its range",
    isa.STATUS_BAD_VECTOR: "a range is outside vector memory",
    isa.STATUS_BAD_ADDRESS: "a map is outside tile memory, or outside the map memory where it may lie there",
    isa.STATUS_BAD_OVERLAP: "its input and output overlap",
    isa.STATUS_BAD_WEIGHTS: "its weights are outside the package's weights, or not aligned",
    isa.STATUS_BAD_TABLE: "its table is outside the package's tables",
    isa.STATUS_BAD_TARGET: "its target is not ahead of it, or the program is left without EXIT or END",
    isa.STATUS_BUDGET_TOO_SMALL: "the budget ran out before the first exit",
    isa.STATUS_NO_RESULT: "the program ended without an exit",
    isa.STATUS_BUDGET_EXCEEDED: "a classifier cost more than its TAP said",
    isa.STATUS_BAD_START: "a start parameter is outside its range",
    isa.STATUS_NOT_RUN: "an earlier image of the batch stopped the engine",
}

_HALOS = isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM
_FLAGS = {
    isa.CONV: isa.FLAG_IN_SIGNED | isa.FLAG_RELU | isa.FLAG_ADD | isa.FLAG_ADD_SIGNED | _HALOS,
    isa.AFFINE: isa.FLAG_IN_SIGNED | isa.FLAG_RELU,
    isa.POOL: isa.FLAG_IN_SIGNED | isa.FLAG_RELU | isa.FLAG_AVERAGE | _HALOS,
    isa.GLOBAL_POOL: isa.FLAG_IN_SIGNED,
    isa.FC: isa.FLAG_RAW | isa.FLAG_RELU,
}
_CHANNELS = (1, isa.MAX_CHANNELS)
_RANGES = {
    "channels": _CHANNELS,
    "in_channels": _CHANNELS,
    "out_channels": _CHANNELS,
    "height": (1, isa.MAX_MAP),
    "width": (1, isa.MAX_MAP),
    "kernel": (1, isa.MAX_KERNEL),
    "channel_offset": (0, isa.MAX_CHANNELS),
    "in_mask": (0, isa.MASKS - 1),
    "out_mask": (0, isa.MASKS - 1),
    "mask": (0, isa.MASKS - 1),
    "pool": (-1, 2**31 - 1),
    "words": (1, isa.TILE_WORDS),
    "inputs": (1, isa.VECTOR_WORDS),
    "outputs": (1, isa.VECTOR_WORDS),
    "hidden": (1, isa.MAX_HIDDEN),
    "exit": (0, 255),
    "flops": (0, 2**31 - 1),
    "cycles": (0, 2**31 - 1),
}


class ProgramError(UserError):
    """A program that the engine would refuse."""


@dataclass(frozen=True)
class Limits:
    """What a program may use: counts of instructions, gates, classes; sizes of weights, tables, image and DDR."""

    instructions: int
    weight_bytes: int
    table_words: int
    image_bytes: int
    gates: int
    classes: int
    map_words: int = 0  # of the DDR's map memory


def encode(opcode, **fields):
    """One instruction as (INSTRUCTION_WORDS,) int32. Every field but `flags` must be given; ValueError otherwise."""
    if opcode not in isa.FIELDS:
        raise ValueError(f"no opcode {opcode}: expected one of {isa.OPCODES}")
    names = isa.FIELDS[opcode]
    unknown = sorted(set(fields) - set(names))
    missing = [name for name in names if name not in fields and name != "flags"]
    if unknown or missing:
        raise ValueError(f"{NAMES[opcode]} takes {', '.join(names)}: unknown {unknown}, missing {missing}")
    words = np.zeros(isa.INSTRUCTION_WORDS, np.int32)
    words[0] = opcode
    for index, name in enumerate(names, start=1):
        value = int(fields.get(name, 0))
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"{NAMES[opcode]}: {name} = {value} does not fit 32 bits")
        words[index] = value
    return words


def decode(words):
    """The fields of one instruction as Python integers, `opcode` among them. ValueError for an unknown opcode."""
    values = [int(word) for word in words]
    if len(values) != isa.INSTRUCTION_WORDS or values[0] not in isa.FIELDS:
        raise ValueError(f"not an instruction: {values}")
    return {"opcode": values[0], **dict(zip(isa.FIELDS[values[0]], values[1:]))}


def disassemble(program):
    """The program as text, one line an instruction."""
    lines = []
    for pc, words in enumerate(program):
        if int(words[0]) not in isa.FIELDS:
            lines.append(f"{pc:4d} ?{[int(word) for word in words]}")
            continue
        fields = decode(words)
        opcode = fields.pop("opcode")
        shown = [f"{name}={_show(name, value)}" for name, value in fields.items()]
        lines.append(f"{pc:4d} {NAMES[opcode]:12s} {' '.join(shown)}".rstrip())
    return "\n".join(lines)


def _show(name, value):
    if name == "flags":
        return "|".join(flag for flag, bit in isa.FLAGS.items() if value & bit) or "0"
    return f"0x{value & 0xFFFFFFFF:x}" if name == "scale" else str(value)


def validate(words, pc, limits, mask_channels=None, in_classifier=False):
    """Status that the engine gives instruction `words` at `pc`, by docs/engine.md, Checks.

    `mask_channels` lists the number of channels each mask was built for (index 0 unused); None skips that check.
    """
    if not 0 <= pc < limits.instructions:
        return isa.STATUS_BAD_TARGET
    opcode = int(words[0])
    if opcode not in isa.FIELDS or (in_classifier and opcode not in CLASSIFIER_OPCODES):
        return isa.STATUS_BAD_OPCODE
    fields = decode(words)
    if not _ranges_fit(fields, limits) or not _shapes_fit(fields, limits, mask_channels):
        return isa.STATUS_BAD_FIELD
    vectors = _vector_ranges(fields)
    if not all(start >= 0 and start + count <= isa.VECTOR_WORDS for start, count in vectors):
        return isa.STATUS_BAD_VECTOR
    maps = _map_ranges(fields)
    far_words = limits.map_words if opcode == isa.MOVE else 0  # nothing else reaches the DDR
    if not all(_map_fits(start, count, far_words) for start, count in maps.values()):
        return isa.STATUS_BAD_ADDRESS
    if _maps_overlap(maps) or (len(vectors) == 2 and _overlap(*vectors)):
        return isa.STATUS_BAD_OVERLAP
    size = weight_size(fields)
    if size and not _weights_fit(fields["weights"], size, limits):
        return isa.STATUS_BAD_WEIGHTS
    rows = table_rows(fields)
    if rows and not (
        fields["table"] >= 0
        and fields["table"] % isa.TABLE_ROW == 0
        and fields["table"] + rows * isa.TABLE_ROW <= limits.table_words
    ):
        return isa.STATUS_BAD_TABLE
    if "target" in fields and not pc < fields["target"] < limits.instructions:
        return isa.STATUS_BAD_TARGET
    return isa.STATUS_OK


def check(program, limits):
    """Check every instruction, and every classifier as such; ProgramError names the first bad one."""
    if not 1 <= limits.instructions <= isa.MAX_INSTRUCTIONS or limits.instructions != len(program):
        raise ProgramError(
            f"{len(program)} instructions, expected 1 to {isa.MAX_INSTRUCTIONS}: compile a smaller program"
        )
    if not 0 <= limits.gates <= isa.MAX_GATES:
        raise ProgramError(f"{limits.gates} gates, expected 0 to {isa.MAX_GATES}")
    if not 1 <= limits.classes <= isa.MAX_CLASSES:
        raise ProgramError(f"{limits.classes} classes, expected 1 to {isa.MAX_CLASSES}")
    if not 0 <= limits.map_words < isa.DDR_ADDRESS:
        raise ProgramError(f"{limits.map_words} words of map memory, expected 0 to {isa.DDR_ADDRESS - 1}")
    for pc, words in enumerate(program):
        _refuse(program, pc, validate(words, pc, limits))
    if int(program[-1][0]) not in (isa.END, isa.EXIT):
        _refuse(program, len(program) - 1, isa.STATUS_BAD_TARGET)
    for tap in program[program[:, 0] == isa.TAP]:
        pc = decode(tap)["target"]
        while int(program[pc][0]) != isa.EXIT:
            _refuse(program, pc, validate(program[pc], pc, limits, in_classifier=True))
            pc += 1


def _refuse(program, pc, status):
    if status != isa.STATUS_OK:
        opcode = int(program[pc][0])
        raise ProgramError(f"instruction {pc} ({NAMES.get(opcode, f'opcode {opcode}')}): {STATUS_TEXT[status]}")


def _ranges_fit(fields, limits):
    opcode = fields["opcode"]
    for name, value in fields.items():
        low, high = _RANGES.get(name, (value, value))
        if name == "channels" and opcode == isa.GATE_LAYER:
            low = 0
        if name == "mask" and opcode == isa.GATE_CHANNEL:
            low = 1
        if name == "gate":
            low, high = -1 if opcode == isa.GATE_CHANNEL else 0, limits.gates - 1
        if not low <= value <= high:
            return False
    return not fields.get("flags", 0) & ~_FLAGS.get(opcode, 0)


def _shapes_fit(fields, limits, mask_channels):
    """The rest of BAD_FIELD: what depends on more than one field."""
    opcode = fields["opcode"]
    if opcode == isa.IMAGE:
        return fields["height"] * fields["width"] * fields["channels"] == limits.image_bytes
    if opcode == isa.EXIT:
        return fields["classes"] == limits.classes
    if opcode in (isa.CONV, isa.AFFINE) and fields["stride"] not in (1, 2):
        return False
    if opcode == isa.CONV:
        if fields["kernel"] % 2 == 0 or conv_row(fields) > isa.LANE_BYTES or inner_rows(fields) < 1:
            return False
        pairs = [(fields["in_mask"], fields["in_channels"]), (fields["out_mask"], fields["out_channels"])]
        return _masks_fit(pairs, mask_channels)
    if opcode == isa.MOVE:
        pitches = fields["input_pitch"], fields["output_pitch"]
        fit = all(fields["words"] <= pitch < isa.DDR_ADDRESS for pitch in pitches)
        return fit and _masks_fit([(fields["mask"], fields["channels"])], mask_channels)
    return opcode != isa.POOL or _pool_fits(fields)


def _masks_fit(pairs, mask_channels):
    """Each (mask, channels) was built for so many channels; 0 stands for all of them."""
    return mask_channels is None or all(mask == 0 or mask_channels[mask] == count for mask, count in pairs)


def _pool_fits(fields):
    kernel, stride, padding = fields["kernel"], fields["stride"], fields["padding"]
    if not 1 <= stride <= min(kernel, 2):
        return False
    if has_halo(fields) and (2 * padding != kernel - 1 or inner_rows(fields) < 1):
        return False
    most = 0 if fields["flags"] & isa.FLAG_AVERAGE else kernel // 2
    return 0 <= padding <= most and kernel <= min(fields["height"], fields["width"]) + 2 * padding


def _vector_ranges(fields):
    """(start, count) of vector memory: input, then output."""
    opcode = fields["opcode"]
    if opcode in (isa.CONV, isa.AFFINE):
        return [(fields["pool"], fields["out_channels"])] if fields["pool"] >= 0 else []
    if opcode == isa.GLOBAL_POOL:
        return [(fields["output"], fields["channels"])]
    if opcode == isa.FC:
        return [(fields["input"], fields["inputs"]), (fields["output"], fields["outputs"])]
    if opcode == isa.LSTM:
        return [(fields["input"], fields["inputs"]), (fields["output"], fields["hidden"])]
    count = {isa.GATE_LAYER: 1, isa.GATE_CHANNEL: fields.get("channels"), isa.EXIT: fields.get("classes")}.get(opcode)
    return [] if count is None else [(fields["input"], count)]


def _map_ranges(fields):
    """(start, count) of map memory by role; the identity only where it is added. MOVE's are those of every channel."""
    opcode, maps = fields["opcode"], {}
    if opcode == isa.MOVE:
        for role in ("input", "output"):
            maps[role] = fields[role], (fields["channels"] - 1) * fields[f"{role}_pitch"] + fields["words"]
    if opcode in (isa.CONV, isa.AFFINE, isa.POOL, isa.GLOBAL_POOL):
        channels = fields["channels"] if "channels" in fields else fields["in_channels"]
        maps["input"] = fields["input"], channels * tiles(fields["height"], fields["width"])
    if opcode in (isa.IMAGE, isa.CONV, isa.AFFINE, isa.POOL):
        channels = fields["channels"] if "channels" in fields else fields["out_channels"]
        maps["output"] = fields["output"], channels * tiles(*output_size(fields))
    if opcode == isa.CONV and fields["flags"] & isa.FLAG_ADD:
        maps["identity"] = fields["identity"], maps["output"][1]
    return maps


def _map_fits(start, count, far_words):
    """Whether a range lies within tile memory, or within the `far_words` words of the DDR's map memory."""
    if start >= isa.DDR_ADDRESS:
        return start - isa.DDR_ADDRESS + count <= far_words
    return start >= 0 and start + count <= isa.TILE_WORDS


def _maps_overlap(maps):
    if "output" not in maps:
        return False
    if "input" in maps and _overlap(maps["input"], maps["output"]):
        return True
    identity = maps.get("identity", maps["output"])
    return identity != maps["output"] and _overlap(identity, maps["output"])


def _overlap(one, other):
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1]


def _weights_fit(base, size, limits):
    return base >= 0 and base % isa.WEIGHT_ALIGN == 0 and base + size <= limits.weight_bytes
