"""What each instruction of a program belongs to: the network, a block's gate, or an exit; and a name for it.

    for label in labels(package): print(label.part, label.name)       # one an instruction

What only a gate reads is the gate's, what only an exit's classifier reads is the exit's; all else is the network's.
"""

from collections import defaultdict
from typing import NamedTuple

from hls import isa
from hls.program import NAMES, decode
from hls.shapes import output_size

PARTS = NETWORK, GATE, EXIT = "network", "gate", "exit"
GATES = (isa.GATE_LAYER, isa.GATE_CHANNEL)
COUNTS = {isa.FC: "outputs", isa.LSTM: "hidden", isa.GLOBAL_POOL: "channels"}  # words of the vector that each writes


class Label(NamedTuple):
    """Of one instruction. `row`: (its number or -1, a title); those of one row are one line of a table."""

    part: str  # of PARTS
    name: str
    row: tuple
    block: int | None = None  # where a gate may skip it, or decides on it


def labels(package):
    """A Label for each instruction of a package."""
    program = [decode(words) for words in package.program]
    owners = _owners(package, program)
    blocks = _blocks(package, program)
    return [_label(pc, fields, owners[pc], blocks.get(pc)) for pc, fields in enumerate(program)]


def _label(pc, fields, owner, block):
    """`owner`: (part, the block of a gate or the number of an exit)."""
    (part, number), what = owner, describe(fields)
    if part == GATE:
        return Label(part, f"block {number}'s gate: {what}", (-1, f"block {number}'s gate"), number)
    if part == EXIT:
        return Label(part, f"exit {number}: {what}", (-1, f"exit {number}"))
    name = what if block is None else f"block {block}: {what}"
    return Label(part, name, (pc, name), block)


def describe(fields):
    """An instruction in a few words: `conv 3×3 16→32 /2, 16×16`."""
    opcode, name = fields["opcode"], NAMES[fields["opcode"]].lower().replace("_", " ")
    if opcode in (isa.CONV, isa.AFFINE, isa.POOL):
        kernel = f" {fields['kernel']}×{fields['kernel']}" if "kernel" in fields else ""
        channels = fields.get("in_channels", fields.get("channels")), fields.get("out_channels", fields.get("channels"))
        stride = f" /{fields['stride']}" if fields["stride"] > 1 else ""
        height, width = output_size(fields)
        return f"{name}{kernel} {channels[0]}→{channels[1]}{stride}, {height}×{width}"
    if opcode == isa.FC:
        return f"fc {fields['inputs']}→{fields['outputs']}"
    if opcode in (isa.GLOBAL_POOL, isa.IMAGE):
        return f"{name} {fields['channels']}, {fields['height']}×{fields['width']}"
    return f"{name} {fields['channels']}×{fields['words']} words" if opcode == isa.MOVE else name


def _blocks(package, program):
    """pc → the block whose layer gate can skip it."""
    found = {}
    for pc, fields in enumerate(program):
        if fields["opcode"] == isa.GATE_LAYER:
            number = package.meta["gates"][fields["gate"]]["block"]
            found |= dict.fromkeys(range(pc + 1, fields["target"]), number)
    return found


def _owners(package, program):
    """(part, number) of each instruction: its own kind's, or that of all who read what it writes."""
    readers, owners, numbers = _readers(program), {}, _gate_blocks(package, program)
    classifiers = _classifiers(program)
    for pc in reversed(range(len(program))):
        fields = program[pc]
        wanted = {owners[reader] for reader in readers[pc]}
        if pc in classifiers:
            owners[pc] = EXIT, classifiers[pc]
        elif fields["opcode"] == isa.TAP:
            owners[pc] = EXIT, fields["exit"]
        elif fields["opcode"] in GATES:
            owners[pc] = GATE, numbers[pc]
        else:
            owners[pc] = wanted.pop() if len(wanted) == 1 and (NETWORK, None) not in wanted else (NETWORK, None)
    return owners


def _gate_blocks(package, program):
    """pc of each gate → its block; one that has no trace word is the block's whose gate stands before it."""
    found, last = {}, -1
    for pc, fields in enumerate(program):
        if fields["opcode"] in GATES:
            last = fields["gate"] if fields["gate"] >= 0 else last
            found[pc] = package.meta["gates"][last]["block"]
    return found


def _classifiers(program):
    """pc → the number of the early exit whose classifier it is a part of."""
    found = {}
    for tap in program:
        if tap["opcode"] == isa.TAP:
            pc = tap["target"]
            while program[pc - 1]["opcode"] != isa.EXIT or pc == tap["target"]:
                found[pc] = tap["exit"]
                pc += 1
    return found


def _readers(program):
    """pc → the instructions that read what it wrote last before them, map or vector."""
    found, maps, vectors = defaultdict(set), {}, {}
    for pc, fields in enumerate(program):
        opcode = fields["opcode"]
        reads_vector = opcode in (isa.FC, isa.LSTM, *GATES, isa.EXIT)
        if reads_vector:
            writer = max((at for at, words in vectors.values() if fields["input"] in words), default=None)
            found[writer].add(pc)
        elif opcode != isa.IMAGE:
            for role in ("input", "identity"):
                found[maps.get(fields.get(role))].add(pc)
        if opcode in COUNTS:
            vectors[fields["output"]] = pc, range(fields["output"], fields["output"] + fields[COUNTS[opcode]])
        elif "output" in fields:
            maps[fields["output"]] = pc
        if fields.get("pool", -1) >= 0:
            vectors[fields["pool"]] = pc, range(fields["pool"], fields["pool"] + fields["out_channels"])
    return found
