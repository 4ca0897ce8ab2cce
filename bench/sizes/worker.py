"""What the engine of other sizes takes and how long programs run on it: a question on stdin, its answer on stdout.

    python -m bench.sizes.worker < question.json      # from bench/sizes/variants.py, in the variant's folder

Question: {"programs": {name: {"file": …, "limits": […], "traces": [[…], …]}}, "resources": true}, and where they are
asked for "bounds": a clock in MHz, "compared": {name: package}, "images": of each.

Answer: {"hash", "cycles": {name: mean over the traces, or null where the program does not fit}, "parts": of
bench/sizes/chips.py, "whole": resource → amount with what stands around the engine, "ii_gap", "period_ns": of the worst
loop, "same": {name: [images alike, images]}}.
"""

import json
import sys

import numpy as np

from bench.networks.walk import Walker, total
from bench.sizes.chips import parts_of
from bitstreams import adapters, bounds
from hls import cosim, golden, isa
from hls.package import read
from hls.program import Limits, ProgramError, check
from hls.record import agreed

QUICK = ("-std=c++14", "-O1", "-fPIC", "-shared", "-pthread", *cosim.WARNINGS)  # compiled for a few images
FORMS = {"cpu": QUICK, "chip": (*QUICK, "-DDDI_CHIP")}


def mean_cycles(program, traces):
    """Cycles of an image, averaged over the decisions in `traces`."""
    walker, cycles = Walker(program), []
    for trace in traces:
        steps = walker.steps(
            lambda gate, trace=trace: trace[gate] != isa.TRACE_SKIPPED,
            lambda gate, channels, trace=trace: int(trace[gate]),
        )
        cycles.append(total(steps)[1])
    return float(np.mean(cycles))


def answer(question):
    """The answer to a question, from the hls that is imported here."""
    cycles = {}
    for name, asked in question["programs"].items():
        program = np.load(asked["file"])["program"]
        try:
            check(program, Limits(*asked["limits"]))
            cycles[name] = mean_cycles(program, asked["traces"])
        except ProgramError:
            cycles[name] = None
    found = {"hash": isa.HASH, "cycles": cycles}
    if question["resources"]:
        from hls.estimate import resources  # libclang, where it is asked for

        estimate = resources.estimate()
        found |= {"parts": parts_of(estimate), "whole": adapters.total(estimate.total)}
    if "bounds" in question:
        board = bounds.board_of()._replace(clock_mhz=question["bounds"])
        found["ii_gap"], found["period_ns"] = bounds.worst(bounds.found(board=board))
    same = question.get("compared", {}).items()
    found["same"] = {name: same_records(read(path), question["images"]) for name, path in same}
    return found


def same_records(package, count):
    """(images whose records golden model and co-simulation, in both forms, agree in, images): any pixels."""
    shape = (count, *package.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    case = package.program, package.weights, package.tables, images, package.start()
    expected = golden.run(*case)
    cosim.SHAPES.update(FORMS)
    found = [agreed(cosim.run(*case, shape=form)) for form in FORMS]
    return int(sum(all(np.array_equal(each[i], expected[i]) for each in found) for i in range(count))), count


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
