"""What is known of the integers of one loop: their ranges, and addresses as sums of multiples of other values.

values = Values(loop)
values.range("%x")      # (0, 7)
values.sum("%i")        # Sum(constant, {name: factor})
"""

from collections import Counter
from dataclasses import dataclass, field
from math import prod

from hls.bounds.ir import BINARY, is_number, number, width

_CHOICES = {"llvm.smin": min, "llvm.smax": max, "llvm.umin": min, "llvm.umax": max}


@dataclass(frozen=True)
class Sum:
    """constant + Σ factor · value; the values are names of the IR."""

    constant: int = 0
    terms: dict = field(default_factory=dict)

    def plus(self, other, factor=1):
        terms = dict(self.terms)
        for name, times in other.terms.items():
            terms[name] = terms.get(name, 0) + factor * times
        return Sum(self.constant + factor * other.constant, {name: each for name, each in terms.items() if each})

    def times(self, factor):
        return Sum().plus(self, factor) if factor else Sum()


class Values:
    """Ranges and sums of the values that one iteration of `loop` computes or takes from outside."""

    def __init__(self, loop):
        self.loop = loop
        blocks = list(loop.function.blocks.values())
        self.made = {each.name: each for block in blocks for each in block.instructions if each.name}
        self.inside = {each.name for each in loop.instructions() if each.name}
        self.uses = Counter(operand for block in blocks for each in block.instructions for operand in each.operands)
        self.steps = self._steps()
        self._ranges, self._sums = {}, {}

    def _steps(self):
        """Counters of the loop: header phis that grow by a constant every iteration, name → step."""
        found = {}
        for each in self.loop.function.blocks[self.loop.header].instructions:
            back = [value for value, label in zip(each.operands, each.labels) if label in self.loop.latches]
            if each.op == "phi" and len(back) == 1:
                added = self._unwrapped(back[0], each.name)
                if added is not None and added.terms == {each.name: 1}:
                    found[each.name] = added.constant
        return found

    def _unwrapped(self, operand, counter):
        """A counter's next value as a Sum, since a loop's counter does not wrap around; None for other values."""
        made = self.made.get(operand)
        if operand == counter or is_number(operand):
            return Sum(0, {operand: 1}) if operand == counter else Sum(number(operand))
        if made is None or made.op not in ("add", "shl", "ashr", "sext", "zext", "trunc"):
            return None
        inner = self._unwrapped(made.operands[0], counter)
        if inner is None or made.op in ("sext", "zext", "trunc"):
            return inner
        if not is_number(made.operands[1]):
            return None
        constant = number(made.operands[1])
        if made.op == "add":
            return inner.plus(Sum(constant))
        if made.op == "shl":
            return inner.times(1 << constant)
        power = 1 << constant
        if inner.constant % power or any(factor % power for factor in inner.terms.values()):
            return None
        return Sum(inner.constant // power, {name: factor // power for name, factor in inner.terms.items()})

    def range(self, operand, kind="i64"):
        """(lowest, highest) of an operand, as the number that its bits stand for with a sign."""
        if is_number(operand):
            return number(operand), number(operand)
        if operand not in self._ranges:
            made = self.made.get(operand)
            self._ranges[operand] = whole = whole_range(made.type if made else kind)
            if made is not None:
                low, high = self._computed(made, whole)
                self._ranges[operand] = (low, high) if whole[0] <= low and high <= whole[1] else whole
        return self._ranges[operand]

    def bits(self, operand, kind="i64"):
        """Bits that hold an operand."""
        return bits_of(*self.range(operand, kind))

    def _computed(self, made, whole):
        op, type_ = made.op, made.type
        if op == "icmp":
            return 0, 1
        if op in ("phi", "select"):
            if op == "phi" and made.block == self.loop.header:
                return whole
            ranges = [self.range(each, type_) for each in made.operands[-len(made.operands) + (op == "select") :]]
            return min(low for low, _ in ranges), max(high for _, high in ranges)
        if op == "call" and made.detail.rpartition(".")[0] in _CHOICES:
            choose = _CHOICES[made.detail.rpartition(".")[0]]
            (low, high), (other_low, other_high) = (self.range(each, type_) for each in made.operands[:2])
            unsigned = ".u" in made.detail and min(low, other_low) < 0
            return whole if unsigned else (choose(low, other_low), choose(high, other_high))
        if op in ("zext", "sext", "trunc", "freeze"):
            return self._cast(made)
        if op not in BINARY:
            return whole
        return self._operated(op, *(self.range(each, type_) for each in made.operands), whole)

    def _cast(self, made):
        source = self.made.get(made.operands[0])
        inner = source.type if source else "i64"
        low, high = self.range(made.operands[0], inner)
        if made.op == "zext" and low < 0:
            return 0, (1 << width(inner)) - 1
        if made.op == "sext" and inner == "i1":
            return -1, 0
        return low, high

    def _operated(self, op, left, right, whole):
        (low, high), (other_low, other_high) = left, right
        constant = other_low if other_low == other_high else None
        if op == "add":
            return low + other_low, high + other_high
        if op == "sub":
            return low - other_high, high - other_low
        if op == "mul" or (op == "shl" and other_low >= 0 and other_high < 64):
            factors = (other_low, other_high) if op == "mul" else (1 << other_low, 1 << other_high)
            corners = [one * other for one in left for other in factors]
            return min(corners), max(corners)
        if op in ("lshr", "ashr") and constant is not None and 0 <= constant < 64:
            if op == "lshr" and low < 0:
                return 0, ((1 << width_of(whole)) - 1) >> constant
            return low >> constant, high >> constant
        if op == "and" and (low >= 0 or other_low >= 0):
            return 0, min(each for each in (high if low >= 0 else None, other_high if other_low >= 0 else None)
                          if each is not None)  # fmt: skip
        if op in ("or", "xor") and low >= 0 and other_low >= 0:
            return 0, (1 << max(high.bit_length(), other_high.bit_length())) - 1
        if op in ("udiv", "sdiv", "urem", "srem") and low >= 0 and constant is not None and constant > 0:
            return (low // constant, high // constant) if op.endswith("div") else (0, min(high, constant - 1))
        return whole

    def sum(self, operand):
        """An integer operand as a Sum."""
        if is_number(operand):
            return Sum(number(operand))
        if operand not in self._sums:
            self._sums[operand] = Sum(0, {operand: 1})  # of itself, while it is looked at
            self._sums[operand] = self._taken_apart(operand)
        return self._sums[operand]

    def _taken_apart(self, name):
        made, plain = self.made.get(name), Sum(0, {name: 1})
        if made is None:
            return plain
        first, second = (*made.operands, "0", "0")[:2]
        whole = made.op in ("add", "sub", "mul", "shl") and self._fits(made)
        if made.op == "add" and whole:
            return self.sum(first).plus(self.sum(second))
        if made.op == "sub" and whole:
            return self.sum(first).plus(self.sum(second), -1)
        if made.op == "mul" and whole and is_number(second):
            return self.sum(first).times(number(second))
        if made.op == "shl" and whole and is_number(second):
            return self.sum(first).times(1 << number(second))
        if made.op == "or" and self._apart(first, second):
            return self.sum(first).plus(self.sum(second))
        if made.op == "sext" or (made.op == "zext" and self.range(first)[0] >= 0):
            return self.sum(first)
        if made.op == "zext" and self.made[first].type == "i32" and self.sum(first).terms != {first: 1}:
            return self.sum(first)  # below zero it would be no address
        return plain

    def _fits(self, made):
        """Does the result hold what is computed, whatever the operands?"""
        if {"nsw", "nuw"} & made.flags or made.type == "i64":
            return True
        low, high = self._operated(made.op, *(self.range(each, made.type) for each in made.operands), (0, 0))
        whole = whole_range(made.type)
        return whole[0] <= low and high <= whole[1]

    def _apart(self, left, right):
        """Have two operands no bit in common? Of a constant and what is shifted, that is in sight."""
        low, high = self.range(right)
        return low >= 0 and high < 1 << self.zeros(left)

    def zeros(self, operand):
        """Low bits of an operand that are zero."""
        if is_number(operand):
            value = number(operand)
            return 63 if value == 0 else (value & -value).bit_length() - 1
        made = self.made.get(operand)
        if made is None:
            return 0
        if made.op == "shl" and is_number(made.operands[1]):
            return number(made.operands[1]) + self.zeros(made.operands[0])
        if made.op == "and":
            return max(self.zeros(each) for each in made.operands)
        if made.op == "mul":
            return sum(self.zeros(each) for each in made.operands)
        if made.op in ("add", "sub", "or", "xor"):
            return min(self.zeros(each) for each in made.operands)
        return self.zeros(made.operands[0]) if made.op in ("zext", "sext") else 0

    def numbers(self, name, most=64):
        """The numbers that a value may be, or None where they are more than `most`."""
        made = self.made.get(name)
        if made is not None and made.op == "select" and all(map(is_number, made.operands[1:])):
            return sorted({number(each) for each in made.operands[1:]})
        low, high = self.range(name, made.type if made else "i64")
        step = 1 << self.zeros(name)
        return list(range(-(-low // step) * step, high + 1, step)) if (high - low) // step < most else None

    def combined(self, terms, most=4096):
        """The numbers that Σ factor · value may be, or None where there are too many."""
        choices = [[factor * each for each in self.numbers(name) or ()] for name, factor in terms.items()]
        if not all(choices) or prod(map(len, choices)) > most:
            return None
        found = {0}
        for each in choices:
            found = {one + other for one in found for other in each}
        return found


def whole_range(kind):
    """The numbers that a type holds, with a sign; 0 and 1 for a truth value."""
    size = width(kind)
    return (0, 1) if size == 1 else (-(1 << (size - 1)), (1 << (size - 1)) - 1) if size else (0, 0)


def width_of(whole):
    """Bits of the type that holds the range `whole`."""
    return 1 if whole == (0, 1) else whole[1].bit_length() + 1


def bits_of(low, high):
    """Bits that hold every number of a range, with a sign where there are negative ones."""
    return max(high.bit_length(), 1) if low >= 0 else max((-low - 1).bit_length(), high.bit_length()) + 1
