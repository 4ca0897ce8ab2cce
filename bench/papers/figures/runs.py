"""What the default package does on the repository's own sample, run on the engine whenever a drawing is made.

    found = sample_runs()           # skipped share, layers and channels of each of 1,000 images; all to the end
    points = early(found, 4)        # accuracy as more and more images leave at exit 4, the surest first
    maps, distance, block, image = features()      # behind a block, with layers and channels skipped or not

The engine computes in integers, so that every machine draws the same.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.packages import PACKAGES
from data.datasets import load_sample
from export.compile.static import LOWEST
from export.measure import run_engine
from hls import golden, isa
from hls.package import Package, read
from hls.program import decode as fields_of
from hls.program import output_size
from hls.record import Results

NAME = "fashion-mnist"
BLOCK = 6  # the block whose features are shown, as in JSTSP Fig. 14
SHOWN, ASKED = 8, 12  # channels that are shown; images that the distance is a mean of
WAYS = {  # what is skipped → the gates that are held open
    "nothing skipped": (isa.GATE_LAYER, isa.GATE_CHANNEL),
    "channels skipped": (isa.GATE_LAYER,),
    "layers skipped": (isa.GATE_CHANNEL,),
    "both, as trained": (),
}


@dataclass(frozen=True, eq=False)
class Runs:
    """All images of the sample, to the end of the network."""

    package: Package
    images: np.ndarray  # (N, H, W, C) uint8
    labels: np.ndarray
    results: Results

    @property
    def skipped(self):
        """The share of the whole network's FLOPs that each image did not run, (N,)."""
        return 1 - self.results.flops / self.package.exits[-1]["flops"]


@cache
def sample_runs():
    """The Runs of the default package."""
    package, (images, labels) = read(PACKAGES / f"{NAME}.npz"), load_sample()
    return Runs(package, images, labels, run_engine(package, images, len(package.exits) - 1))


def blocks(found):
    """For each gated block: (its name, its stage, share of images that skip it, share of its channels skipped where it
    runs, whether its layer can be skipped)."""
    lines, can_skip = [], _layer_gates(found.package)
    for number, gate in enumerate(found.package.meta["gates"]):
        trace = found.results.trace[:, number]
        ran = trace[trace >= 0]
        kept = ran.mean() / gate["channels"] if len(ran) else 0.0
        lines.append((gate["block"], gate["stage"], float((trace < 0).mean()), float(1 - kept), number in can_skip))
    return lines


def _layer_gates(package):
    """Numbers of the gates that skip whole blocks."""
    found = [fields_of(words) for words in package.program if words[0] == isa.GATE_LAYER]
    return {fields["gate"] for fields in found}


@cache
def early(found, number):
    """[(share of images that leave at exit `number`, accuracy)], as the entropy that is sure enough rises."""
    leaving = run_engine(found.package, found.images, number)
    order = np.argsort(leaving.entropy, kind="stable")
    at_exit, at_end = ((results.label == found.labels)[order] for results in (leaving, found.results))
    right = np.concatenate([[0], np.cumsum(at_exit)]) + at_end.sum() - np.concatenate([[0], np.cumsum(at_end)])
    return [(i / len(order), float(right[i] / len(order))) for i in range(len(order) + 1)]


# --------------------------------------------------------------------------------------------------------- features
class _Watching(golden.Engine):
    """The golden model, which keeps the map behind a block."""

    def __init__(self, package, program, pc):
        super().__init__(program, package.weights, package.tables, package.start(), package.limits)
        self.pc, self.kept_map = pc, None

    def _execute(self, fields, price, pc):
        if pc == self.pc:
            written = fields_of(self.program[pc - 1])  # the block's last convolution
            size = output_size(written)
            self.kept_map = self.load(written["output"], written["out_channels"], *size, False)
        return super()._execute(fields, price, pc)


def behind(package, block):
    """pc of the first instruction behind the gated block number `block` (from 1), which its gate jumps to."""
    gates = [fields_of(words) for words in package.program if words[0] == isa.GATE_LAYER]
    numbers = [gate["block"] for gate in package.meta["gates"]]
    chosen = [gate for gate in gates if gate["gate"] >= block - 1]
    return chosen[0]["target"], numbers[chosen[0]["gate"]]


@cache
def features():
    """({way: (channels, height, width) of one image}, {way: mean distance from nothing skipped}, block, image).

    The distance is the root mean square of the difference over that of the map itself. The image is the one of the
    first ASKED that skips most layers.
    """
    found = sample_runs()
    pc, block = behind(found.package, BLOCK)
    most = int(np.argmax(-found.results.layers_run[:ASKED]))
    maps, images = {}, found.images[:ASKED]
    for way, kinds in WAYS.items():
        maps[way] = [_map(found.package, kinds, pc, image) for image in images]
    whole = maps["nothing skipped"]
    distance = {way: float(np.mean([_distance(*pair) for pair in zip(own, whole)])) for way, own in maps.items()}
    return {way: own[most] for way, own in maps.items()}, distance, block, most


def _map(package, kinds, pc, image):
    engine = _Watching(package, _held_open(package.program, kinds), pc)
    engine.run_image(0, image.reshape(-1))
    return engine.kept_map


def _held_open(program, kinds):
    """The program with all gates of these opcodes open."""
    program = program.copy()
    for opcode in kinds:
        program[program[:, 0] == opcode, 1 + isa.FIELDS[opcode].index("threshold")] = LOWEST
    return program


def _distance(one, whole):
    return np.sqrt(((one - whole) ** 2).mean() / (whole**2).mean())
