"""Random programs on the engine that is imported, in a build that ends where a number does not fit its width.

    python -m bitstreams.points zedboard safe tests.hls.stress.on_a_point 60

Prints how many programs ran; ends with an error where the engine's records are not the golden model's, or where its
main loop took longer than the model says.
"""

import sys

import numpy as np

from hls import cosim, golden, isa
from hls.record import agreed
from hls.stress.random_programs import random_program

BUILDS = {
    "chip": ("-std=c++14", "-O1", "-fPIC", "-shared", "-pthread", *cosim.WARNINGS, "-DDDI_CHIP", "-DDDI_TRAP"),
    "cpu": ("-std=c++14", "-O1", "-fPIC", "-shared", "-pthread", *cosim.WARNINGS),
}
STALLS = isa.RECORD.index("stalls")
STALE = 0xA5  # what memories hold before


def main():
    count = int(sys.argv[1])
    cosim.SHAPES.update(BUILDS)
    for seed in range(count):
        case = random_program(np.random.default_rng(seed))
        expected = golden.run(*case)
        for shape in BUILDS:
            found = cosim.run(*case, threads=1, forget=STALE, shape=shape)
            assert np.array_equal(expected, agreed(found)), f"seed {seed}, {shape}: other records"
            assert not found[:, STALLS].any(), f"seed {seed}, {shape}: {found[:, STALLS]} cycles over the plan"
    print(f"{count} programs, {isa.ROW_TAPS} taps, {isa.WEIGHT_PORTS} ports of weights")


if __name__ == "__main__":
    main()
