"""LLVM IR: functions, blocks, instructions, the sizes of types, and the lines of the source. reading.py makes it.

for block in module.functions["ddi_engine"].blocks.values(): ...
"""

import re
from dataclasses import dataclass, field

from hls.errors import UserError

BINARY = {"add", "sub", "mul", "udiv", "sdiv", "urem", "srem", "shl", "lshr", "ashr", "and", "or", "xor"}
CASTS = {"zext", "sext", "trunc", "freeze", "ptrtoint", "inttoptr", "bitcast"}


class BoundsError(UserError):
    """The sources, their IR or the tool that makes it are not what the analysis reads."""


@dataclass
class Instruction:
    """One instruction. `operands` are names (%x, @x), numbers, or constant expressions, as they are printed."""

    name: str
    op: str
    type: str  # of the result; of what is stored, for a store
    operands: list
    flags: frozenset = frozenset()
    detail: str = ""  # predicate of icmp, callee of call, element type of getelementptr
    labels: list = field(default_factory=list)  # blocks that it leads to, or that a phi's operands come from
    place: str = ""  # number of its !DILocation
    loop: str = ""  # number of the loop that its branch closes
    block: str = ""


@dataclass
class Block:
    """A basic block: its instructions, the last of which is `end`."""

    name: str
    instructions: list
    successors: list = field(default_factory=list)
    predecessors: list = field(default_factory=list)

    @property
    def end(self):
        return self.instructions[-1]


@dataclass
class Function:
    """A function's blocks in the order of the text, the entry first; its arguments' names."""

    name: str
    arguments: list
    blocks: dict


@dataclass
class Module:
    """Functions by name, named types, `tables` (constant globals: name → type), and the lines that metadata tell."""

    functions: dict
    types: dict
    globals: dict
    tables: dict
    metadata: dict
    kept: dict = field(default_factory=dict)  # what `layout` and `members` found, by type

    def line(self, place):
        """(file, line) of a !DILocation's number; ("", 0) without one."""
        text = self.metadata.get(place, "")
        line, scope = re.search(r"line: (\d+)", text), re.search(r"scope: !(\d+)", text)
        while scope:
            text = self.metadata[scope.group(1)]
            file = re.search(r"file: !(\d+)", text)
            if file:
                name = re.search(r'filename: "([^"]*)"', self.metadata[file.group(1)])
                return (name.group(1) if name else "", int(line.group(1)) if line else 0)
            scope = re.search(r"scope: !(\d+)", text)
        return "", 0

    def loop_start(self, loop):
        """(file, line) of the `for` of a loop's number."""
        for number in re.findall(r"!(\d+)", self.metadata.get(loop, ""))[1:]:
            if "DILocation" in self.metadata.get(number, ""):
                return self.line(number)
        return "", 0

    def layout(self, kind):
        """(bytes, alignment) of a type."""
        if kind not in self.kept:
            self.kept[kind] = self._laid_out(self.types.get(kind, kind).strip())
        return self.kept[kind]

    def _laid_out(self, kind):
        if kind == "ptr":
            return 8, 8
        if re.fullmatch(r"i\d+", kind):
            size = max(1, (int(kind[1:]) + 7) // 8)
            size = 1 << (size - 1).bit_length()
            return size, min(size, 8)
        if kind.startswith("["):
            count, element = array_of(kind)
            size, align = self.layout(element)
            return int(count) * size, align
        if kind.startswith(("{", "<{")):
            return self._structure(kind)[1:]
        raise BoundsError(f"type {kind} of the IR is not known to hls/bounds/ir.py")

    def offset(self, kind, index):
        """(bytes before member `index` of a structure, the member's type)."""
        return self.members(kind)[index]

    def members(self, kind):
        """(bytes before it, type) of each member of a structure."""
        key = "members", kind
        if key not in self.kept:
            self.kept[key] = self._structure(self.types.get(kind, kind))[0]
        return self.kept[key]

    def _structure(self, kind):
        packed = kind.startswith("<")
        members, at, widest = [], 0, 1
        for member in split(kind.strip("<>").strip()[1:-1]):
            size, align = self.layout(member)
            align = 1 if packed else align
            at = -(-at // align) * align
            members.append((at, member))
            at, widest = at + size, max(widest, align)
        return members, -(-at // widest) * widest, widest


def split(text):
    """The parts of a list, cut at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    quoted = False
    for at, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif sign in "([{<":
            depth += 1
        elif sign in ")]}>":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()] if text[start:].strip() else parts


def width(kind):
    """Bits of an integer type; 64 of a pointer."""
    return 64 if kind == "ptr" else int(kind[1:]) if re.fullmatch(r"i\d+", kind) else 0


def is_number(operand):
    """Is an operand a constant integer?"""
    return bool(re.fullmatch(r"-?\d+|true|false|null|undef|poison|zeroinitializer", operand))


def number(operand):
    """The integer that a constant operand stands for; what is undefined counts as 0."""
    return {"true": 1}.get(operand, 0) if not re.fullmatch(r"-?\d+", operand) else int(operand)


def array_of(kind):
    """(count, element's type) of an array type, as they are printed."""
    count, element = matched(r"\[(\d+) x (.*)\]", kind)
    return count, element


def matched(pattern, text):
    """The groups of a pattern that the text has as a whole. BoundsError where it has not."""
    found = re.fullmatch(pattern, text, re.S)
    if found is None:
        raise BoundsError(f"IR that hls/bounds does not know: {text[:100]}")
    return found.groups()
