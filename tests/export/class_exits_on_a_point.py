"""Class exits on the engine that is imported: a package's, on images, by the golden model and by the engine.

    python -m tests.export.class_exits_on_a_point PACKAGE.npz IMAGES.npy RECORDS.npz

with hls of other sizes on the path, as bitstreams.points.environment has it. Ends with an error where records differ,
and where an image took more than its budget or, without one, more than the package says of its exit.
"""

import sys

import numpy as np

from hls import cosim, golden
from hls.package import read
from hls.record import agreed, decode


def main():
    package, images, records = read(sys.argv[1]), np.load(sys.argv[2]), {}
    for name in package.class_exits:
        one = package.with_class_exit(name)
        budget = int(0.8 * one.exits[-1]["cycles"])
        for key, start in ((name, one.start()), (f"{name} under a budget", one.start(budget_cycles=budget))):
            case = one.program, one.weights, one.tables, images, start
            records[key] = golden.run(*case)
            assert np.array_equal(agreed(records[key]), agreed(cosim.run(*case))), f"{key}: other records"
            found = decode(records[key], start)
            most = budget if key != name else np.array([item["cycles"] for item in one.exits])[found.exit]
            assert (found.cycles <= most).all(), f"{key}: {found.cycles} cycles, at most {most} were said"
    np.savez(sys.argv[3], **records)


if __name__ == "__main__":
    main()
