"""How many faults around a command are survived: one line for the user, nothing left held, the next run fine.

    python -m bench faults --json rows.jsonl

Rows: faults.FAMILY.total, faults.FAMILY.survived for each of FAMILIES. The faults are in bench/fault_cases/.
"""

import sys

from bench.fault_cases import FAMILIES, Runner, cases


def run(rows, folders, options):
    """Add the rows; what is not survived is named on standard error."""
    for family in FAMILIES:
        known = cases(family)
        if not known:
            continue
        survived = 0
        with Runner(family) as runner:
            for case in known:
                why = runner.judge(case)
                survived += not why
                if why:
                    print(f"faults: {family} {case.name}: {why}", file=sys.stderr)
        rows.add(f"faults.{family}.total", len(known), "cases", "count", len(known))
        rows.add(f"faults.{family}.survived", survived, "cases", "count", len(known))
