"""What the walk over the engine's operators knows where it stands: names, places, and what its expressions can be.

operators.py counts; here are the scopes that it carries along and the questions that it asks of declarations.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from hls.estimate import fabric, values
from hls.estimate.known import RETURNED
from hls.lint import cpp

CHOSEN = {"Larger": max, "Smaller": min}  # functions of geometry.hpp that return one of two numbers
_WIDTH = re.compile(r"(?:const )?(?:ddi::)?(Unsigned|Signed)<(.+?)>(?= |\[|$)")  # hls/src/widths.hpp
_QUEUE = re.compile(r"(?:ddi::)?Queue<(.+), (\d+)>(?:\[(\d+)\])?$")  # of any element


def width(kind, names):
    """The Value that a type of widths.hpp holds, whatever native type stands for it here; None for another type."""
    found = _WIDTH.match(kind.spelling)
    if found is None:
        return None
    bits = evaluated(found[2], names)
    return (
        values.span(0, 2**bits - 1) if found[1] == "Unsigned" else values.span(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


def register_bits(kind, names):
    """Bits that a variable of this type keeps: of a structure those of its fields."""
    known = width(kind, names)
    if known is not None and "[" not in kind.spelling:
        return known.bits
    whole = kind.get_canonical()
    if whole.kind.name == "CONSTANTARRAY":
        return whole.element_count * register_bits(_element(kind), names)
    if whole.kind.name == "RECORD":
        fields = (each for each in whole.get_declaration().get_children() if each.kind.name == "FIELD_DECL")
        return sum(register_bits(each.type, names) for each in fields)
    return values.bits(whole)


def _element(kind):
    """An array's element, with its name where it has one."""
    return kind.element_type if kind.kind.name == "CONSTANTARRAY" else kind.get_canonical().element_type


def queue(kind):
    """(bits of an item, items, queues side by side) of a variable that is a queue, or queues; None for another."""
    found = _QUEUE.match(kind.get_canonical().spelling)
    if found is None:
        return None
    item = {"long": 64, "int": 32}[found[1]]
    return item, int(found[2]), int(found[3] or 1)


class Source:
    """What libclang says of expressions, asked once each."""

    def __init__(self):
        self.kept = {}

    def _keep(self, what, cursor, ask):
        key = what, cursor.hash, cursor.kind.value
        if key not in self.kept:
            self.kept[key] = ask(cursor)
        return self.kept[key]

    def children(self, cursor):
        return self._keep("children", cursor, cpp.children)

    def operator(self, cursor):
        return self._keep("operator", cursor, cpp.operator)

    def literal(self, cursor):
        return self._keep("literal", cursor, values.literal)

    def initializer(self, cursor):
        return self._keep("initializer", cursor, cpp.initializer)


class Place(NamedTuple):
    """What a name stands for: the path of an array of the State, or a declaration; the indices so far."""

    base: object
    indices: tuple = ()
    around: tuple = ()  # Values that tell apart its versions: unrolled loops around its declaration, outer indices


@dataclass(frozen=True)
class Scope:
    """Where the walk stands: names → values and places, the unrolled loops around it, the unit that it belongs to."""

    names: dict
    places: dict
    loops: tuple = ()  # values.counter of each unrolled loop
    pipelined: bool = False
    unit: str = ""
    loop: str = ""  # the pipelined one
    function: str = ""
    quiet: bool = False  # nothing is counted
    fabric: bool = False  # products are made of LUTs, as a bind_op says
    pre_added: bool = False  # a sum is made by an adder of a DSP, as a bind_op says

    @property
    def copies(self):
        """Versions of what differs in every iteration."""
        return values.versions(*self.loops)

    def changed(self, value):
        """A variable's value: another one in every iteration."""
        return values.depending(value, *self.loops)


def unit_of(cursor, folder):
    """The header that a declaration stands in, by its path below `folder` without suffix: chip/layer."""
    return cpp.name_of(cursor, folder).rpartition(".")[0]


def banks(array, indices):
    """The indices, as far as they choose between memories that stand side by side."""
    return [
        values.bank(index, pieces) if dimension in array.cyclic else index
        for dimension, (index, pieces) in enumerate(zip(indices, array.pieces))
    ]


def result_of(sign, left, right, kind):
    """The Value of a binary operator."""
    operations = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
    if sign in operations:
        return values.combine(operations[sign], left, right, kind)
    if sign in ("<<", ">>") and right.low >= 0 and right.high < 64:
        shift = (lambda a, b: a << b) if sign == "<<" else (lambda a, b: a >> b)
        return values.combine(shift, left, right, kind)
    if sign == "&":
        return values.masked(left, right, kind)
    if sign == "/":
        return values.combine(values.quotient, left, right, kind)
    if sign == "%":
        return values.remainder(left, right, kind)
    if sign in ("|", "^") and left.low >= 0 and right.low >= 0:
        return values.depending(values.span(0, 2 ** max(left.bits, right.bits) - 1), left, right)
    told = values.span(0, 1) if sign in (*fabric.COMPARE, "&&", "||") else values.of_type(kind)
    return values.depending(told._replace(static=left.static and right.static), left, right)


def side_by_side(left, right):
    """Do two numbers have no bit in common: is the second less than what the first is a multiple of?"""
    return right.low >= 0 and right.high < left.multiple & -left.multiple


def returned(function, cursor, names, given=()):
    """What a call gives: its type's values; Clamp8 and the like are narrower, or follow the `given`."""
    if function.spelling in RETURNED:
        return values.span(*RETURNED[function.spelling])
    if function.spelling in CHOSEN and given:
        return values.combine(CHOSEN[function.spelling], *given, cursor.type)
    return width(function.result_type, names) or values.of_type(cursor.type)


def sizes_of(base):
    """Dimensions of a declaration's type."""
    sizes, kind = [], base.type.get_canonical() if hasattr(base, "type") else None
    kind = kind.get_pointee().get_canonical() if kind is not None and kind.kind.name == "LVALUEREFERENCE" else kind
    while kind is not None and kind.kind.name == "CONSTANTARRAY":
        sizes.append(kind.element_count)
        kind = kind.element_type.get_canonical()
    return sizes


def is_table(base):
    """Is it a constant array?"""
    kind = base.type.get_canonical()
    return kind.kind.name == "CONSTANTARRAY" and base.kind.name == "VAR_DECL" and kind.spelling.startswith("const ")


def table_width(base):
    """Bits of a table's entries, with a sign."""
    numbers = [int(token.spelling) for token in base.get_tokens() if token.spelling.isdigit()]
    return max(numbers).bit_length() + 1


def constants(unit, folder):
    """Name → number of every constant of the sources."""
    return {
        each.spelling: number
        for each, _ in cpp.walk(unit, folder)
        if each.kind.name == "VAR_DECL" and cpp.is_constant_name(each) and (number := values.constant(each)) is not None
    }


def evaluated(text, names):
    """The number that a pragma's expression over the constants `names` stands for."""
    plain = re.sub(r"\b(?:ddi|isa)::", "", text).replace("/", "//")
    return int(eval(plain, {"__builtins__": {}, "BitsOf": lambda most: most.bit_length()}, names))  # our own source
