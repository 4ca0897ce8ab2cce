"""Delays of operators: what stands between the registers of a recurrence, by the parts of a chip that it is made of.

table = Table.of("-1")                 # delays.toml
table.sum(32), table.product(16, 16)   # ns, the wire before it included
"""

import tomllib
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

from hls.bounds.ir import BoundsError

DATA = Path(__file__).with_name("delays.toml")
LUT_INPUTS = 6
CARRY_BITS = 4  # of a CARRY4
DSP_A, DSP_B = 24, 17  # bits of a DSP48E1's factors, without their signs
DIVISION_EXTRA = 3  # cycles of a division above one for each bit: sign, remainder, result


@dataclass(frozen=True)
class Table:
    """ns of each part of delays.toml, and of a wire. `port_latency`: cycles of a read of a port, where there is one."""

    parts: dict
    wire: float
    port_latency: int

    @classmethod
    def of(cls, grade, wire=None, port_latency=0):
        """The table of a speed grade. BoundsError for one that delays.toml does not have."""
        data = tomllib.loads(DATA.read_text(encoding="utf-8"))
        if grade not in data["grade"]:
            known = ", ".join(data["grade"])
            raise BoundsError(f"no delays for speed grade {grade}: hls/bounds/delays.toml has {known}")
        parts = {name: value for name, value in data["grade"][grade].items() if name != "source"}
        return cls(parts, data["wire"]["ns"] if wire is None else wire, port_latency)

    @property
    def logic(self):
        """A LUT."""
        return self.wire + self.parts["lut"]

    @property
    def register(self):
        """Into a register and out of it again."""
        return self.parts["register_in"] + self.parts["register_out"]

    def sum(self, bits):
        """A sum or a difference of that many bits."""
        if bits <= CARRY_BITS:
            return self.logic + self.parts["carry_short"]
        return self._chain(bits) + self.parts["carry_end"] - self.parts["carry_next"]

    def compare(self, bits):
        """Which of two numbers is larger: two bits a place of the chain."""
        return self._chain(ceil(bits / 2))

    def equal(self, bits, constant):
        """Are two numbers alike: by LUTs, or three bits a place of the chain."""
        inputs, levels = bits * (1 if constant else 2), 0
        while inputs > 1:
            inputs, levels = ceil(inputs / LUT_INPUTS), levels + 1
        return min(max(1, levels) * self.logic, self._chain(ceil(bits / 3)))

    def shift(self, distance_bits):
        """A shift by a distance that is known only at run time: two of its bits a LUT."""
        return ceil(distance_bits / 2) * self.logic

    def product(self, left, right):
        """A product of two values of those bits: one DSP48E1, or a cascade of them."""
        tiles = ceil(max(1, left - 1) / DSP_A) * ceil(max(1, right - 1) / DSP_B)
        if tiles == 1:
            return self.wire + self.parts["dsp"]
        return self.wire + self.parts["dsp_cascade"] + (tiles - 2) * self.parts["dsp_next"] + self.parts["dsp_last"]

    def scaled(self, factor, bits):
        """A product with a constant: a tree of sums of its shifted copies."""
        terms = max(1, abs(factor).bit_count())
        return ceil(log2(terms)) * self.sum(bits) if terms > 1 else 0.0

    def _chain(self, places):
        """From a LUT into a carry chain and out of its end."""
        further = ceil(places / CARRY_BITS) - 1
        return self.logic + self.parts["carry_start"] + further * self.parts["carry_next"]


def division_cycles(bits):
    """Cycles of a division by subtraction, a bit of the quotient a cycle."""
    return bits + DIVISION_EXTRA
