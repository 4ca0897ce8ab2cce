"""Where every map lies, and the instructions that follow from it.

    layout = lay_out(steps, maps, tile_words)     # Layout(code, starts, tile_words, map_words)

A step is one instruction with maps in place of addresses. When all maps fit tile memory, steps and instructions are the
same. Otherwise, where memory runs out, the largest map goes to the DDR, one after another until the rest fits; steps on
such maps become bands (export/compile/bands.py). Lifetimes count steps of the main stream: control only jumps forward,
so what lives from one step to another lives on every path between them.
"""

from itertools import pairwise
from typing import NamedTuple

from export.compile.bands import NoRoom, expand, expand_pair, plain
from export.compile.maps import Map, gaps, place
from hls import isa
from hls.errors import UserError


class LowerError(UserError):
    """A network that the engine has no room for; the message is one line."""


class Layout(NamedTuple):
    """Instructions with plain addresses; `starts` holds the first instruction of each step."""

    code: list  # (opcode, fields)
    starts: list
    tile_words: int  # in use
    map_words: int


class _Full(Exception):
    """Memory runs out at `step`: `words` are needed there."""

    def __init__(self, step, words):
        super().__init__(step, words)
        self.step, self.words = step, words


def lay_out(steps, maps, tile_words=isa.TILE_WORDS):
    """The Layout of steps [opcode, fields] in so many words of tile memory. Raises LowerError."""
    pairs = _pairs(steps)
    while True:
        try:
            return _attempt(steps, maps, pairs, tile_words)
        except _Full as full:
            _send_away(maps, pairs, full, tile_words)


def _send_away(maps, pairs, full, tile_words):
    """Take a map out of tile memory where it runs out: one that can stay inside a band, else the largest."""
    inside = _inside(pairs)
    alive = [item for item in maps if item.lives(full.step) and not item.far and item not in inside]
    movable = [item for item in alive if not item.pinned]
    if not movable:
        kilobytes = [-(-words * isa.TILE**2 // 1024) for words in (full.words, tile_words)]
        raise LowerError(
            f"the network's maps need {kilobytes[0]} KB at once, also in bands of one row of tiles, tile memory has "
            f"{kilobytes[1]} KB: use a narrower network or smaller images"
        )
    between = [pair[1] for pair in pairs.values() if pair[1] in movable]
    max(between or movable, key=lambda item: item.words).far = True


def _pairs(steps):
    """Step → (source, map between, target) of each AFFINE whose output only the 1×1 convolution behind it reads."""
    found = {}
    for number, ((first, affine), (second, conv)) in enumerate(pairwise(steps)):
        if (first, second) != (isa.AFFINE, isa.CONV) or conv["input"] is not affine["output"]:
            continue
        between, plain_affine = affine["output"], affine["stride"] == 1 and affine["channel_offset"] == 0
        plain_conv = (conv["kernel"], conv["stride"], conv["in_mask"], conv["out_mask"]) == (1, 1, 0, 0)
        alone = (between.first, between.last, between.parent) == (number, number + 1, None) and not between.pinned
        same = affine["in_channels"] == affine["out_channels"] and not conv["flags"] & isa.FLAG_ADD
        if plain_affine and plain_conv and alone and same:
            found[number] = affine["input"], between, conv["output"]
    return found


def _chained(pair):
    """Whether a pair runs in bands, the map between with no place of its own."""
    return any(item.is_far for item in pair)


def _inside(pairs):
    return {pair[1] for pair in pairs.values() if _chained(pair)}


def _attempt(steps, maps, pairs, tile_words):
    chained = {number for number, pair in pairs.items() if _chained(pair)}
    for number in chained:  # both of its steps at once
        pairs[number][0].touch(number + 1)
        pairs[number][2].touch(number)
    inside = _inside(pairs)
    near = [item for item in maps if not item.far and item not in inside]
    used, map_words = place(near), place([item for item in maps if item.far and item not in inside])
    for item in sorted(near, key=lambda m: m.first):
        if item.address + item.words > tile_words:
            raise _Full(item.first, item.address + item.words)
    code, starts = [], []
    for number, (opcode, fields) in enumerate(steps):
        starts.append(len(code))
        if number - 1 in chained:
            continue
        far = any(isinstance(value, Map) and value.is_far for value in fields.values())
        if not far and number not in chained:
            code.append((opcode, plain(fields)))
            continue
        alive = [item for item in near if item.lives(number)]
        free = gaps(alive, tile_words)
        try:
            code += (
                expand_pair(fields, steps[number + 1][1], free) if number in chained else expand(opcode, fields, free)
            )
        except NoRoom as full:
            raise _Full(number, full.words + sum(item.words for item in alive)) from None
        used = max([used, *(_end(part) for part in code[starts[-1] :])])
    return Layout(code, starts, used, map_words)


def _end(part):
    """The end of what an instruction of a band uses of tile memory, seen in its MOVE."""
    opcode, fields = part
    if opcode != isa.MOVE:
        return 0
    ends = [0]
    for role in ("input", "output"):
        if fields[role] < isa.DDR_ADDRESS:
            ends.append(fields[role] + (fields["channels"] - 1) * fields[f"{role}_pitch"] + fields["words"])
    return max(ends)
