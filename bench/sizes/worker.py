"""What the engine of other sizes takes and how long programs run on it: a question on stdin, its answer on stdout.

    python -m bench.sizes.worker < question.json      # from bench/sizes/variants.py, in the variant's folder

Question: {"programs": {name: {"file": …, "limits": […], "traces": [[…], …]}}, "resources": true}. Answer: {"hash",
"cycles": {name: mean over the traces, or null where the program does not fit}, "parts": of bench/sizes/chips.py}.
"""

import json
import sys

import numpy as np

from bench.networks.walk import Walker, total
from bench.sizes.chips import parts_of
from hls import isa
from hls.program import Limits, ProgramError, check


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
        from hls import resources  # libclang, where it is asked for

        found["parts"] = parts_of(resources.estimate())
    return found


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
