"""Each mutant against the tests that call its function: run in the copy that mutmut made, which has all mutants in it.

    python -m bench.mutants.judge outcomes.jsonl < orders.json

Orders: `mutants`, name → digest of its function; `tests`, name → tests in the order to try them; `seconds`, test →
seconds; `options` of pytest. One JSON object a mutant is added to the file. The tests are imported once; each mutant is
a fork of that process, so that it starts in a moment. A test that takes far longer than it did has noticed; after
MOST_S nobody has. Who noticed is asked once more without the mutant, and must pass.
"""

import json
import os
import signal
import sys

import pytest

FACTOR, LEAST_S = 10, 5.0  # of a test's own processor time, before it counts as endless
MOST_S = 60.0  # of processor time that a mutant's tests, and what they start, get together
ENDLESS, PATIENCE = 36, 37  # exit codes of a child
UNTRIED = (int(pytest.ExitCode.USAGE_ERROR), int(pytest.ExitCode.NO_TESTS_COLLECTED))


class Watch:
    """A pytest plugin: ends the process when a test is endless, or when all have had their time; notes the test."""

    def __init__(self, seconds, report):
        self.seconds, self.report = seconds, report
        signal.signal(signal.SIGPROF, lambda *_: os._exit(ENDLESS))

    def pytest_runtest_logstart(self, nodeid):
        """Before each test."""
        if sum(os.times()[:4]) > MOST_S:  # a fork begins at none
            os._exit(PATIENCE)
        os.write(self.report, f"{nodeid}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, LEAST_S + FACTOR * self.seconds.get(nodeid, 0))


def noticed(name, tests, seconds, options):
    """(whether one of `tests` fails with the mutant `name`, the last that was run). '' is the code as it is."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        os.close(here)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.environ["MUTANT_UNDER_TEST"] = name
        os._exit(int(pytest.main(["-x", "-q", *options, *tests], plugins=[Watch(seconds, there)])))
    os.close(there)
    with os.fdopen(here, encoding="utf-8") as shown:
        last = next(reversed(shown.read().splitlines()), None)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code in UNTRIED:
        raise SystemExit(f"pytest ended with {code} for {name or 'no mutant'}: none of {tests[:3]} was run")
    return code not in (0, PATIENCE), last


def sound(test, seconds, options, known):
    """Whether a test that noticed passes with the code as it is. `known`: of those that were asked before."""
    if test not in known:
        known[test] = not noticed("", [test], seconds, options)[0]
    return known[test]


def main(path):
    """Judge them in order; exit code 0."""
    orders = json.load(sys.stdin)
    options, tests = orders["options"], orders["tests"]
    files = sorted({test.partition("::")[0] for called in tests.values() for test in called})
    os.environ["MUTANT_UNDER_TEST"] = ""
    pytest.main(["--collect-only", "-qqq", *options, *files])
    known = {}
    with open(path, "a", encoding="utf-8") as file:
        for name, function in orders["mutants"].items():
            killed, by = noticed(name, tests[name], orders["seconds"], options) if tests[name] else (False, None)
            # Where no test had begun, the files could not be read with the mutant: they must be without it.
            if killed and not sound(by or tests[name][0], orders["seconds"], options, known):
                raise SystemExit(f"{by or tests[name][0]} fails without a mutant as well")
            outcome = {"name": name, "function": function, "killed": killed, "by": by if killed else None}
            print(json.dumps(outcome), file=file, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
