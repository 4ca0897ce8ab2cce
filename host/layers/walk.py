"""Which instructions ran for an image and what each cost, by its record: nothing is computed again.

    walk = Walk(package, start)
    for step in walk.steps(results, 0, image): print(step.pc, step.cost.cycles)

Control only jumps forward, and a record has what decides each jump: the trace of the gates, the exit, the reason and
the number of instructions. What it lacks is the count of a second mask of one block; then the golden model is asked.
"""

from typing import Any, NamedTuple

import numpy as np

from hls import golden, isa
from hls.cost import Cost, instruction_cost
from hls.errors import UserError
from hls.program import decode

NO_COUNT = -1  # the number of a channel gate whose count is in no trace word


class Step(NamedTuple):
    """An instruction that ran: its place, its fields, active channels it reads and writes (None: all), its cost."""

    pc: int
    fields: dict
    active: tuple
    cost: Cost


class Walk:
    """The program of a package, under the start parameters of the records."""

    def __init__(self, package, start):
        self.package, self.start = package, start
        self.fields = [decode(words) for words in package.program]
        self.prices = {}
        self.counted = all(f["gate"] != NO_COUNT for f in self.fields if f["opcode"] == isa.GATE_CHANNEL)

    def steps(self, results, index, image):
        """The Steps of one image (height, width, channels) uint8. UserError where they are not what its record counts.

        The sums of their costs are those of the record: FLOPs, cycles and bytes of weights.
        """
        counts = {} if self.counted else self._counts(results, index, image)
        steps = _Image(self, results, index, counts).run()
        sums = [sum(costs) for costs in zip(*(step.cost for step in steps))]
        found = [int(getattr(results, name)[index]) for name in Cost._fields]
        if sums != found or len(steps) != results.instructions[index]:
            raise UserError(
                f"image {index}: its instructions sum up to {sums} (FLOPs, cycles, bytes), its record has {found}: "
                "the engine and its cost model differ, report this"
            )
        return steps

    def price(self, pc, active):
        """The Cost of an instruction, worked out once."""
        key = pc, *active
        if key not in self.prices:
            self.prices[key] = instruction_cost(self.package.program[pc], *active, pc=pc)
        return self.prices[key]

    def _counts(self, results, index, image):
        """pc of each channel gate → its count, by the golden model."""
        engine = _Counting(*_arrays(self.package), self.start, self.package.limits)
        allowed = int(results.allowed_flops[index]), int(results.allowed_cycles[index])
        engine.run_image(0, np.asarray(image, np.uint8).reshape(-1), allowed)
        return engine.counts


def _arrays(package):
    return package.program, package.weights, package.tables


class _Counting(golden.Engine):
    """The golden model, which keeps how many channels each gate left on."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.counts = {}

    def _gate_channel(self, f):
        super()._gate_channel(f)
        self.counts[self.last_pc] = len(self.masks[f["mask"]])


class _Image:
    """One image on its way through the program."""

    def __init__(self, walk, results, index, counts):
        self.walk, self.fields, self.counts = walk, walk.fields, counts
        self.trace, self.total = results.trace[index], int(results.instructions[index])
        self.reason, self.exit = int(results.reason[index]), int(results.exit[index])
        self.ruled = walk.start.rule != isa.RULE_NONE
        self.kept: Any = None  # the fields of the TAP that was passed last
        self.masks, self.steps = {}, []

    def run(self):
        """The Steps in the order in which they ran."""
        pc = 0
        while not self._is_stopped():
            fields = self._add(pc)
            opcode = fields["opcode"]
            if opcode == isa.EXIT:
                break
            if opcode == isa.TAP:
                self.kept = fields
                if self.ruled:
                    self._classify()
                    if self.reason == isa.REASON_RULE and self.exit == fields["exit"]:
                        break
            if opcode == isa.END:
                self._finish()
                break
            skips = opcode == isa.GATE_LAYER and self.trace[fields["gate"]] == isa.TRACE_SKIPPED
            pc = fields["target"] if skips else pc + 1
        else:
            self._finish()
        return self.steps

    def _is_stopped(self):
        """Whether budget or lost time stopped it here: what is left is the classifier of the exit that it names."""
        if self.reason not in (isa.REASON_BUDGET, isa.REASON_TIME):
            return False
        if self.kept is None or self.kept["exit"] != self.exit:
            return False
        return self.total - len(self.steps) == (0 if self.ruled else self._classifier_length())

    def _classifier_length(self):
        pc = self.kept["target"]
        while self.fields[pc]["opcode"] != isa.EXIT:
            pc += 1
        return pc + 1 - self.kept["target"]

    def _finish(self):
        if self.kept is not None and not self.ruled:
            self._classify()

    def _classify(self):
        pc = self.kept["target"]
        while self._add(pc)["opcode"] != isa.EXIT:
            pc += 1

    def _add(self, pc):
        """The fields of an instruction that runs."""
        fields = self.fields[pc]
        if len(self.steps) >= self.total:
            raise UserError(f"the record counts {self.total} instructions, the walk goes on at {pc}: report this")
        if fields["opcode"] == isa.GATE_CHANNEL:
            self.masks[fields["mask"]] = int(self.counts.get(pc, self.trace[fields["gate"]]))
        active = tuple(self.masks.get(fields.get(name)) for name in ("in_mask", "out_mask"))
        active = (self.masks.get(fields.get("mask")), None) if fields["opcode"] == isa.MOVE else active
        self.steps.append(Step(pc, fields, active, self.walk.price(pc, active)))
        return fields
