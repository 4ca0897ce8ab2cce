"""A program's cost for decisions that are made up: what each instruction would cost, without computing a pixel.

    steps = Walker(program).steps()                                  # every gate open, every channel active
    steps = Walker(program).steps(keep=lambda gate: gate % 2 == 0)   # every other block
    flops, cycles = total(steps)

The walk ends at the network's own exit; no budget and no rule stops it before.
"""

from itertools import pairwise
from typing import NamedTuple

from hls import isa
from hls.cost import Cost, instruction_cost
from hls.program import decode
from hls.schedule import MULTIPLICATIONS

GATES = (isa.LSTM, isa.GATE_LAYER, isa.GATE_CHANNEL)
EXITS = (isa.POOL, isa.TAP)
MAPS = (isa.CONV, isa.AFFINE, isa.POOL, isa.GLOBAL_POOL)  # that run in the main loop
DEPTH = next(int(loop["depth"]) for loop in isa.LOOPS if loop["name"] == "RunMaps::MapCycles")


class Step(NamedTuple):
    """An instruction that runs, and what it costs with the channels that are active then."""

    pc: int
    fields: dict
    cost: Cost


class Walker:
    """Prices of one program, each worked out once."""

    def __init__(self, program):
        self.program, self.fields = program, [decode(words) for words in program]
        self.prices = {}

    def steps(self, keep=lambda gate: True, active=lambda gate, channels: channels):
        """The Steps of an image whose layer gates decide `keep(gate)`, channel gates keep `active(gate, channels)`."""
        pc, masks, steps = 0, {}, []
        while pc < len(self.fields):
            fields = self.fields[pc]
            opcode, target = fields["opcode"], pc + 1
            steps.append(Step(pc, fields, self._price(pc, fields, masks)))
            if opcode == isa.GATE_LAYER and not keep(fields["gate"]):
                target = fields["target"]
            if opcode == isa.GATE_CHANNEL:
                masks[fields["mask"]] = active(fields["gate"], fields["channels"])
            if opcode in (isa.EXIT, isa.END):
                break
            pc = target
        return steps

    def parts(self):
        """Per instruction: gate, exit or network. A gate's convolution is one that only its decision reads."""
        return [self._part(pc) for pc in range(len(self.fields))]

    def _price(self, pc, fields, masks):
        counts = masks.get(fields.get("in_mask", fields.get("mask"))), masks.get(fields.get("out_mask"))
        key = pc, *counts
        if key not in self.prices:
            self.prices[key] = instruction_cost(self.program[pc], *counts, pc=pc)
        return self.prices[key]

    def _part(self, pc):
        opcode, following = self._opcode(pc), pc + 1
        if opcode in EXITS:
            return "exit"
        if opcode in GATES:
            return "gate"
        if opcode in (isa.CONV, isa.GLOBAL_POOL, isa.FC):
            following += opcode == isa.CONV and self._opcode(following) == isa.GLOBAL_POOL
            following += opcode != isa.FC and self._opcode(following) == isa.FC
            if opcode == isa.CONV:
                return "gate" if self._opcode(following) == isa.GATE_CHANNEL else "network"
            return "network" if self._opcode(following) == isa.EXIT else "gate"
        return "network"

    def _opcode(self, pc):
        return self.fields[pc]["opcode"] if pc < len(self.fields) else isa.END


def total(steps):
    """(FLOPs, cycles) of Steps."""
    return sum(step.cost.flops for step in steps), sum(step.cost.cycles for step in steps)


def overlapped(steps):
    """The same if each of MAPS were fetched, checked and filled while the one before it drains: what two layers in
    flight would save, and no more."""
    flops, cycles = total(steps)
    pairs = pairwise(steps)
    behind = sum(one.fields["opcode"] in MAPS and other.fields["opcode"] in MAPS for one, other in pairs)
    return flops, cycles - behind * (isa.FETCH + DEPTH)


def busy(flops, cycles):
    """Share of the products that the array could have made in so many cycles; a MAC is one."""
    return flops / 2 / (MULTIPLICATIONS * cycles)


def proportionality(flops, cycles, full_flops, full_cycles):
    """Cycles saved ÷ FLOPs saved, each as a share of the same network run in full; 1 is a skip that is all gain."""
    return (1 - cycles / full_cycles) / (1 - flops / full_flops)
