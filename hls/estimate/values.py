"""What an expression of the engine can be: the set of its values, from types, constants and known ranges.

    span(0, 255).bits     # 8; combine, either, masked and remainder make Values of Values

Widths of operators follow from it. A short set is kept whole, so that the sources of a multiplexer can be counted;
a long one as its ends.
"""

import ctypes
from math import gcd, prod
from typing import NamedTuple

from clang import cindex

from hls.lint import cpp

MANY = 300  # values that are kept one by one
_BITS = {"BOOL": 1, "CHAR_S": 8, "SCHAR": -8, "UCHAR": 8, "SHORT": -16, "USHORT": 16, "INT": -32, "UINT": 32,
         "LONG": -64, "ULONG": 64, "LONGLONG": -64, "ULONGLONG": 64}  # fmt: skip
_INTEGER = 1  # CXEval_Int


class Value(NamedTuple):
    """Integers from low to high; `some` lists them if they are few; static: known once loops are unrolled.

    `on` says in which iterations of unrolled loops the value is the same: loop → a label for each iteration. `each` are
    a static value's numbers in the iterations of the one loop that it depends on. The value is a multiple of
    `multiple`, or that and the static value `rest`.
    """

    low: int
    high: int
    some: tuple | None = None
    static: bool = False
    on: tuple = ()
    each: tuple = ()
    multiple: int = 1
    rest: tuple = ()

    @property
    def bits(self):
        """Width of a register that holds it, with its sign."""
        magnitude = max(self.high.bit_length(), (~self.low).bit_length() if self.low < 0 else 0)
        return max(magnitude + (self.low < 0), 1)

    @property
    def count(self):
        return len(self.some) if self.some is not None else self.high - self.low + 1


def one(number):
    """A constant."""
    return Value(number, number, (number,), True)


def counter(loop, low, trips):
    """An unrolled loop's counter: one iteration stands for all, not the first, in which much folds away."""
    each = tuple(range(low, low + trips))
    return one(low + trips * 5 // 8)._replace(on=((loop, each),), each=each)


def depending(value, *operands):
    """`value`, made of `operands`: the same where all of them are."""
    labels = {}
    for operand in operands:
        for loop, marks in operand.on:
            labels[loop] = tuple(zip(labels[loop], marks)) if loop in labels else marks
    on = tuple((loop, _numbered(marks)) for loop, marks in labels.items())
    return value._replace(on=on, each=(), multiple=1, rest=())


def _numbered(marks):
    numbers = {}
    return tuple(numbers.setdefault(mark, len(numbers)) for mark in marks)


def versions(*operands):
    """How many different versions of what is made of `operands` there are when loops are unrolled."""
    return prod(len(set(marks)) for _, marks in depending(one(0), *operands).on)


def span(low, high):
    """Any number from low to high."""
    return Value(low, high, tuple(range(low, high + 1)) if high - low < MANY else None)


def bits(kind):
    """Bits of a type: a number's, a pointer's 64, all of a structure or an array."""
    kind = kind.get_canonical()
    return abs(_BITS[kind.kind.name]) if kind.kind.name in _BITS else max(8 * kind.get_size(), 0)


def of_type(kind):
    """Any number that the type holds."""
    size = _BITS.get(kind.get_canonical().kind.name, -32)
    return span(0, 2**size - 1) if size > 0 else span(-(2 ** (-size - 1)), 2 ** (-size - 1) - 1)


def constant(cursor):
    """The number that an expression or a constant stands for, or None."""
    library = cindex.conf.lib
    library.clang_Cursor_Evaluate.restype = ctypes.c_void_p
    library.clang_Cursor_Evaluate.argtypes = [cindex.Cursor]
    result = library.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    result = ctypes.c_void_p(result)
    library.clang_EvalResult_getAsLongLong.restype = ctypes.c_longlong
    kind, number = library.clang_EvalResult_getKind(result), library.clang_EvalResult_getAsLongLong(result)
    library.clang_EvalResult_dispose(result)
    return number if kind == _INTEGER else None


def combine(operate, left, right, kind):
    """The values of an operation on two sets; `operate` is monotonic in each operand, or at least on their ends."""
    value = depending(_combine(operate, left, right, kind), left, right)
    if value.static and len(value.on) == 1:
        loop, marks = value.on[0]
        pairs = zip(*(operand.each or (operand.low,) * len(marks) for operand in (left, right)))
        each = tuple(operate(a, b) for a, b in pairs)
        return value._replace(on=((loop, _numbered(each)),) if len(set(each)) > 1 else (), each=each)
    return value


def _combine(operate, left, right, kind):
    whole = of_type(kind)
    static = left.static and right.static
    if left.some is not None and right.some is not None and left.count * right.count <= MANY**2:
        some = sorted({operate(a, b) for a in left.some for b in right.some})
        if whole.low <= some[0] and some[-1] <= whole.high:
            return Value(some[0], some[-1], tuple(some) if len(some) <= MANY else None, static)
        return whole._replace(static=static)
    ends = [operate(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    if whole.low <= min(ends) and max(ends) <= whole.high:
        return Value(min(ends), max(ends), None, static)
    return whole._replace(static=static)


def bank(index, memories):
    """The number of the memory, of so many that take turns, which an index meets; the index where it may be any."""
    return index.rest[0] if index.rest and index.multiple % memories == 0 else index


def memories(index, count):
    """(labels, Value that tells them apart) of the memories, of `count` side by side, that an index meets.

    A label is a number, or (remainder, divisor) of one; without any the index may meet all of them.
    """
    if count > 1 and index.static:
        return sorted(set(index.each)) if index.each else [index.low], index
    common = gcd(index.multiple, count) if index.rest else 1
    if common == 1:
        return ["any"], None
    rest = index.rest[0]
    return sorted({(each % common, common) for each in rest.each or (rest.low,)}), rest


def aligned(sign, left, right, result):
    """`result`, noted as a multiple of a constant: of a product, or of its sum with a static value."""
    if sign == "*" and right.static and right.low != 0:
        return result._replace(multiple=abs(right.low) * left.multiple)
    if sign == "<<" and right.static:
        return result._replace(multiple=left.multiple << right.low)
    if sign == "+" and right.static and not left.static and left.multiple > 1 and not left.rest:
        return result._replace(multiple=left.multiple, rest=(right,))
    return result


def either(left, right):
    """The values of a choice between two."""
    if left.some is not None and right.some is not None and len({*left.some, *right.some}) <= MANY:
        some = tuple(sorted({*left.some, *right.some}))
        return depending(Value(some[0], some[-1], some), left, right)
    return depending(Value(min(left.low, right.low), max(left.high, right.high)), left, right)


def masked(left, right, kind):
    """The values of a bitwise and."""
    if left.some is not None and right.some is not None:
        return combine(lambda a, b: a & b, left, right, kind)
    mask = next((each for each in (right, left) if each.count == 1 and each.low >= 0), None)
    if mask is not None and 1 << mask.low.bit_count() <= MANY:
        some = sorted(set(_submasks(mask.low)))
        return depending(Value(some[0], some[-1], tuple(some)), left, right)
    top = min((each.high for each in (left, right) if each.low >= 0), default=None)
    return depending(of_type(kind) if top is None else span(0, top), left, right)


def _submasks(mask):
    """Every number with no bit outside `mask`."""
    at = mask
    while at:
        yield at
        at = (at - 1) & mask
    yield 0


def quotient(a, b):
    """C++'s division, 0 where it has none."""
    return 0 if b == 0 else (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


def remainder(left, right, kind):
    """The values of %."""
    if left.some is not None and right.some is not None:
        return combine(lambda a, b: a - quotient(a, b) * b if b else 0, left, right, kind)
    top = max(abs(right.low), abs(right.high)) - 1
    return depending(span(-top if left.low < 0 else 0, max(top, 0)), left, right)


def literal(cursor):
    """An expression's constant as a Value, or None."""
    number = constant(cursor) if cursor.kind.is_expression() or cpp.is_constant_name(cursor) else None
    return None if number is None else one(number)
