"""The process that bench.fault_cases.Runner runs cases in: names of cases in, outcomes as JSON out.

python -m bench.fault_cases.worker board
"""

import json
import os
import sys

from bench.fault_cases import answer, cases


def main(argv=None):
    """Serve until the input ends; 0. What a case prints goes nowhere."""
    (family,) = sys.argv[1:] if argv is None else argv
    out = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    known = {case.name: case for case in cases(family)}
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(known[line.strip()])), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
