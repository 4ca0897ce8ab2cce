"""What one operator takes of an xc7 chip: LUTs of six inputs and DSP48E1 blocks, by its width.

price("+", left, right, result)     # (LUTs, DSP48E1) for operands and result as hls.estimate.values.Value
"""

from math import ceil

DSP_PORTS = 24, 17  # bits of a DSP48E1's two factors besides their signs
POST_ADDER = 48  # bits of the sum that a DSP48E1 makes behind its product; before it, of 25
LUT_PRODUCT = 64  # up to so many partial products a multiplication is made of LUTs
CHAINED = 2  # operators between two registers of a pipeline
BRAM18 = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))  # words × bits of a block RAM
COMPARE = ("<", "<=", ">", ">=", "==", "!=")


def dsp(left, right):
    """DSP48E1 of a product of two signed widths: pieces of 24 and 17 bits, one way round or the other."""

    def tiles(a, b):
        return max(1, ceil((a - 1) / DSP_PORTS[0])) * max(1, ceil((b - 1) / DSP_PORTS[1]))

    return min(tiles(left, right), tiles(right, left))


def multiplexer(sources, width):
    """LUTs that choose one of `sources`: half a LUT of two, one of four, two of eight, four of sixteen.

    AMD UG474: two bits share the inputs of a LUT, and a slice's multiplexers choose between its LUTs.
    """
    if sources <= 2:
        return ceil(width / 2) if sources == 2 else 0
    if sources <= 16:
        return width * (1 if sources <= 4 else 2 if sources <= 8 else 4)
    groups = ceil(sources / 16)
    last = multiplexer(sources - 16 * (groups - 1), width)
    return 4 * width * (groups - 1) + last + multiplexer(groups, width)


def lutram(depth, width):
    """LUTs of a memory with a port that writes and one that reads: four of them hold 32 × 6 bits, or 64 × 3 (UG474)."""
    if depth <= 32:
        return 4 * ceil(width / 6)
    pieces = ceil(depth / 64)
    return pieces * 4 * ceil(width / 3) + multiplexer(pieces, width)


def rom_bram18(entries, width):
    """Block RAMs of a table."""
    return min(ceil(entries / words) * ceil(width / bits) for words, bits in BRAM18)


def queue(width, items, copies):
    """(LUTs, flip-flops) of FIFOs in LUTs: shift registers of 32 bits, the places of both ends, what is taken next."""
    place = items.bit_length()
    return copies * (ceil(items / 32) * width + 3 * place), copies * (width + 3 * place)


def divider(width, by, pipelined):
    """(LUTs, flip-flops) of a division by subtraction: a bit a cycle in one stage, or a stage for every bit."""
    stages = width if pipelined else 1
    return stages * (by + 1), stages * (width + by)


def price(sign, left, right, result, in_fabric=False):
    """(LUTs, DSP48E1) of an operator on Values of which at least one changes; divisors are constants."""
    width = max(left.bits, right.bits)
    if sign in ("+", "-"):
        return min(result.bits, width + 1), 0
    if sign == "*":
        return _product(left, right, result, in_fabric)
    if sign in ("/", "%"):
        power = right.low > 0 and right.low & (right.low - 1) == 0
        return (left.bits, 0) if power else (2 * left.bits, dsp(left.bits, left.bits))
    if sign in ("<<", ">>") and not right.static:
        pairs, odd = divmod(min(right.bits, 6), 2)
        return pairs * multiplexer(4, result.bits) + odd * multiplexer(2, result.bits), 0
    if sign in COMPARE:
        return _comparison(sign, left, right, width), 0
    if sign in ("&&", "||"):
        return 1, 0
    if sign in ("&", "|", "^") and not (left.static or right.static):
        return ceil(result.bits / 2), 0
    return 0, 0


def _comparison(sign, left, right, width):
    """By a carry chain two bits a LUT, for equality a tree of LUTs of six inputs; a sign is there already."""
    if sign in ("<", ">=") and right.static and right.low == right.high == 0:
        return 0
    if sign in ("==", "!="):
        return ceil(((1 if left.static or right.static else 2) * width - 1) / 5)
    return ceil(width / 2)


def _product(left, right, result, in_fabric):
    if left.static or right.static:  # by shifts and sums
        number = abs(left.low if left.static else right.low)
        return max(0, number.bit_count() - 1) * result.bits, 0
    if in_fabric or left.bits * right.bits <= LUT_PRODUCT:
        return left.bits * right.bits, 0
    return 0, dsp(left.bits, right.bits)
