"""What stands between the engine and the processor: the IP's bus adapters and registers, and the interconnect.

    for part in parts(): print(part.name, part.count, part.use)      # resource → amount of all of them

Counted from the contract's ports and bitstreams/overlay.json; what one of each takes is read in reports that others
have published, or assumed, and says which. hls/estimate counts what the sources describe, and these are not in them.
"""

import json
from pathlib import Path
from typing import NamedTuple

from hls import isa

OVERLAY = Path(__file__).with_name("overlay.json")


class Part(NamedTuple):
    """`count` of them, of which one takes `each` (resource → amount)."""

    name: str
    count: int
    each: dict
    source: str

    @property
    def use(self):
        """Resource → amount of all."""
        return {name: self.count * amount for name, amount in self.each.items()}


def parts():
    """The Parts of the design around the engine."""
    places = json.loads(OVERLAY.read_text(encoding="utf-8"))["memory_ports"]
    used = {places[port] for port in isa.BUSES}
    words = sum(words for _, words in isa.REGISTERS.values())
    return [
        Part("m_axi adapters", len(set(isa.BUSES.values())), {"lut": 774, "ff": 705, "bram18": 2},
             "the middle of three published reports of Vitis HLS: 580, 774, 823 LUT; 512, 705, 725 FF; 1, 2, 4 BRAM18"),
        Part("words of s_axilite", words, {"lut": 60, "ff": 33},
             "two published reports: 77 LUT a word of 3, 59 of 76; a flip-flop a bit"),
        Part("ways to the processor's memory", len(used), {"lut": 350, "ff": 400},
             "assumed, for AXI4 to AXI3"),
        Part("control interconnect, timer, interrupts, reset", 1, {"lut": 950, "ff": 1150}, "assumed"),
    ]  # fmt: skip


def total(use):
    """Resource → amount with all parts added to `use`."""
    return {name: amount + sum(part.use.get(name, 0) for part in parts()) for name, amount in use.items()}
