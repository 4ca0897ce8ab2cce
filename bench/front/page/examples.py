"""One image of each class, and what the engine ran for it under every budget: from the engine's records.

    rows, found = examples(package, budgets)
    for one in found: print(one.truth, one.runs[0].blocks, one.runs[0].cycles)

The images are those of the repository's own sample of Fashion-MNIST. Which one of a class is taken is settled by what
it spends without a budget, not by whether it is classified right: of the first class the cheapest, of the last the
dearest, of the others one between.
"""

from dataclasses import dataclass

import numpy as np

from data.datasets import load_sample
from hls import cosim, isa
from hls.errors import UserError
from hls.record import NO_BUDGET, decode
from host.board import catalog
from host.energy.model import modelled
from host.front.channels import active_channels
from host.layers.labels import EXIT, GATE, labels
from host.layers.walk import Walk

RAN, SKIPPED, CUT, UNREACHED = "ran", "skipped", "cut", "unreached"
FIRST, LAST = "image and stem", "exits and head"


@dataclass(frozen=True)
class Row:
    """A line of the timeline: a block with its gates, what stands before the blocks, or the exits."""

    title: str
    block: int | None = None


@dataclass(frozen=True)
class Run:
    """An image under one budget. `blocks`: of each gated block one of RAN, SKIPPED, CUT (its gates let it run, then the
    budget ended the run), UNREACHED. `slices`: (row, part, cycles) of what ran, in its order."""

    label: int
    exit: int
    flops: int
    cycles: int
    energy_mj: float
    blocks: tuple
    slices: tuple


@dataclass(frozen=True)
class Example:
    """An image (H, W, C) uint8 with its class, the channels that its gates left on (None where a block is skipped), and
    a Run for each budget."""

    pixels: np.ndarray
    truth: int
    channels: tuple
    runs: tuple


def examples(package, budgets):
    """(rows of the timeline, an Example of each class from the one that spends least without a budget to the dearest).

    `budgets`: FLOPs, or None. UserError where a gate decides otherwise under a budget than without, which it must not.
    """
    images, truths = load_sample()
    chosen = _chosen(_records(package, images, None)[1].flops, truths)
    images, truths = images[chosen], truths[chosen]
    gates = _Blocks(package)
    start, found = _records(package, images, None)
    channels = [active_channels(package, image, start, found.trace[i]) for i, image in enumerate(images)]
    runs = list(zip(*(gates.runs(images, budget, found.trace) for budget in budgets)))
    return gates.rows, [Example(*one) for one in zip(images, truths.tolist(), map(tuple, channels), runs)]


def _chosen(flops, truths):
    """Numbers of one image a class: of the class i of n that at i / (n - 1) of the way from cheapest to dearest."""
    classes, found = np.unique(truths), []
    for place, label in enumerate(classes):
        own = np.flatnonzero(truths == label)
        order = own[np.argsort(flops[own], kind="stable")]
        found.append(order[round(place / max(len(classes) - 1, 1) * (len(order) - 1))])
    return np.array(sorted(found, key=lambda index: (flops[index], index)))


def _records(package, images, budget):
    """(start, decoded records) of images under a budget of FLOPs, or none."""
    start = package.start(budget_flops=NO_BUDGET if budget is None else budget)
    return start, decode(cosim.run(package.program, package.weights, package.tables, images, start), start)


class _Blocks:
    """The rows of a package's timeline, and what of them an image ran."""

    def __init__(self, package):
        self.package = package
        self.parts = [label.part for label in labels(package)]
        self.rows, self.row_of, self.work = _rows(package)

    def runs(self, images, budget, free):
        """A Run for each image; `free`: (N, gates) traces without a budget."""
        start, results = _records(self.package, images, budget)
        walk, energy = Walk(self.package, start), modelled(results, catalog.read()).joule * 1e3
        if ((results.trace != free) & (results.trace != isa.TRACE_NOT_REACHED)).any():
            raise UserError(f"a gate decides otherwise under {budget} FLOPs than without a budget: report this")
        found = []
        for index, image in enumerate(images):
            steps = walk.steps(results, index, image)
            ran = {step.pc for step in steps}
            blocks = tuple(self._state(int(word), gate, ran) for gate, word in enumerate(results.trace[index]))
            slices = [(self.row_of[step.pc], self.parts[step.pc], step.cost.cycles) for step in steps]
            found.append(Run(int(results.label[index]), int(results.exit[index]), int(results.flops[index]),
                             int(results.cycles[index]), float(energy[index]), blocks, _joined(slices)))  # fmt: skip
        return found

    def _state(self, word, gate, ran):
        """What became of a gated block, by its word of the trace and by the instructions that ran."""
        if word == isa.TRACE_SKIPPED:
            return SKIPPED
        if word == isa.TRACE_NOT_REACHED:
            return UNREACHED
        return RAN if self.work[gate] <= ran else CUT


def _rows(package):
    """(Rows, row of each pc, pcs of the convolutions of each gated block), by the order of the program."""
    rows, row_of, current = [Row(FIRST)], [], 0
    names, gates = labels(package), package.meta["gates"]
    numbers = {gate["block"]: index for index, gate in enumerate(gates)}
    work = [set() for _ in gates]
    for pc, label in enumerate(names):
        opcode = int(package.program[pc, 0])
        if label.part == GATE and (rows[-1].block != label.block):
            rows.append(Row(f"block {label.block}", label.block))
            current = len(rows) - 1
        is_head = label.part == EXIT or (opcode in (isa.GLOBAL_POOL, isa.FC, isa.EXIT, isa.END) and label.part != GATE)
        row_of.append(-1 if is_head else current)
        if opcode == isa.CONV and not is_head and rows[current].block is not None and label.part != GATE:
            work[numbers[rows[current].block]].add(pc)
    rows.append(Row(LAST))
    return rows, [row if row >= 0 else len(rows) - 1 for row in row_of], work


def _joined(slices):
    """Neighbours of one row and one part as one."""
    found = []
    for row, part, cycles in slices:
        if found and found[-1][:2] == (row, part):
            found[-1] = (row, part, found[-1][2] + cycles)
        else:
            found.append((row, part, cycles))
    return tuple(found)
