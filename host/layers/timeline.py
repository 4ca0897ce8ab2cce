"""Images as a trace that Perfetto opens (ui.perfetto.dev): layers, gates, exits, the array, weights' ports, stalls.

    text = trace(package, start, results, images, clock_hz)        # JSON in Chrome's trace event format

One slice an instruction, back to back, as long as its cycles of the modelled schedule at the board's clock; the process
that they stand in says so. Within a CONV the cycles of the array, of the ports and of waiting are sums, drawn one
behind the other: when within the instruction each of them comes is not told. Cycles that a board measured stand in a
process of their own, an image each.
"""

import json

from hls import isa
from hls.schedule import conv_plan
from host.layers.labels import EXIT, GATE, NETWORK, labels
from host.layers.table import busy
from host.layers.walk import Walk

MOST = 64  # images of a trace
MODELLED, MEASURED = 1, 2  # numbers of the processes
TRACKS = ("images", "layers", "gates", "exits", "array", "weights' ports", "stalls")
IMAGES, LAYERS, GATES, EXITS, ARRAY, PORTS, STALLS = range(1, len(TRACKS) + 1)
TRACK = {NETWORK: LAYERS, GATE: GATES, EXIT: EXITS}


def trace(package, start, results, images, clock_hz, measured=None):
    """The trace of the first MOST images, one behind the other; `measured`: (N,) cycles by a board's timer, or None.

    UserError where the instructions do not sum up to the records.
    """
    drawing = _Drawing(package, start, clock_hz)
    for index in range(min(len(results.cycles), MOST)):
        drawing.image(results, index, images[index])
    if measured is not None:
        drawing.measured(measured[:MOST])
    told = {"package": package.name, "clock_hz": clock_hz, "cycles": "modelled schedule", "isa": isa.HASH}
    return json.dumps({"traceEvents": drawing.events, "displayTimeUnit": "ns", "otherData": told}) + "\n"


def run_trace(run, images, warn):
    """The trace of a host.views.report.Run on its images (N, height, width, channels) uint8."""
    if len(images) > MOST:
        warn(f"--timeline shows the first {MOST} of {len(images):,} images")
    measured = run.batches.measured_cycles if run.batches else None
    return trace(run.package, run.start, run.results, images, run.board.clock_hz, measured)


class _Drawing:
    """Events; time goes on in cycles."""

    def __init__(self, package, start, clock_hz):
        self.package, self.walk, self.names = package, Walk(package, start), labels(package)
        self.microsecond, self.now, self.events = clock_hz / 1e6, 0, []
        self._name(MODELLED, f"engine: modelled cycles at {clock_hz / 1e6:g} MHz", TRACKS)

    def image(self, results, index, image):
        """All slices of one image."""
        began = self.now
        for step in self.walk.steps(results, index, image):
            self._step(step)
        told = {"exit": self.package.exits[int(results.exit[index])]["name"], "flops": int(results.flops[index])}
        told |= {"label": self.package.class_names[int(results.label[index])], "cycles": int(results.cycles[index])}
        self._slice(IMAGES, f"image {int(results.image[index])}", began, int(results.cycles[index]), told)

    def measured(self, cycles):
        """A slice for each image's share of what the board's timer counted."""
        self._name(MEASURED, "board: measured cycles", ("images",))
        at = 0.0
        for index, count in enumerate(cycles.tolist()):
            self._slice(IMAGES, f"image {index}", at, count, {"cycles": count}, MEASURED)
            at += count

    def _step(self, step):
        label, cost = self.names[step.pc], step.cost
        told = {"pc": step.pc, **cost._asdict(), "busy": round(busy(cost._asdict()), 4)}
        told |= {name: count for name, count in zip(("active_in", "active_out"), step.active) if count is not None}
        self._slice(TRACK[label.part], label.name, self.now, cost.cycles, told)
        for track, name, after, cycles in _inside(step):
            self._slice(track, name, self.now + after, cycles, {"pc": step.pc, "cycles": cycles})
        self.now += cost.cycles

    def _slice(self, track, name, began, cycles, told, process=MODELLED):
        at, long = began / self.microsecond, cycles / self.microsecond
        place = {"pid": process, "tid": track, "ts": at, "dur": long}
        self.events.append({"ph": "X", "cat": TRACKS[track - 1], "name": name, **place, "args": told})

    def _name(self, process, title, tracks):
        named = [("process_name", 0, title), *(("thread_name", i, name) for i, name in enumerate(tracks, 1))]
        for kind, track, name in named:
            self.events.append({"ph": "M", "name": kind, "pid": process, "tid": track, "args": {"name": name}})


def _inside(step):
    """(track, name, cycles after the beginning, cycles) of what a CONV does: waits, multiplies, fetches weights."""
    active = [
        step.fields.get(name) if count is None else count
        for name, count in zip(("in_channels", "out_channels"), step.active)
    ]
    if step.fields["opcode"] != isa.CONV or not active[1]:
        return []
    groups = conv_plan(step.fields, *active).groups
    multiply = sum(group.count * group.steps * group.multiply for group in groups)
    load = sum(group.count * group.load for group in groups)
    stall = step.cost.cycles - multiply
    return [(STALLS, "waiting", 0, stall), (ARRAY, "multiplying", stall, multiply), (PORTS, "fetching", 0, load)]
