"""Each mutant against the tests that call its function: run in the copy that mutmut made, which has all mutants in it.

    python -m bench.mutants.judge outcomes.jsonl < orders.json

Orders: `mutants`, name → digest of its function; `tests` and `seconds`, name → tests, test → seconds; `options` of
pytest. One JSON object a mutant is added to the file. The tests are imported once; each mutant is a fork of that
process, so that it starts in a moment. Quick tests come first. A test that takes far longer than it did has noticed;
after MOST_S nobody has.
"""

import json
import os
import signal
import sys
import time

import pytest

FACTOR, LEAST_S = 10, 5.0  # of a test's own processor time, before it counts as endless
MOST_S = 60.0  # of processor time that a mutant's tests get together
NOTICED, ENDLESS, PATIENCE = 1, 36, 37  # exit codes of a child


class Watch:
    """A pytest plugin: ends the process when a test is endless, or when all have had their time; notes the test."""

    def __init__(self, seconds, report):
        self.seconds, self.report, self.begin = seconds, report, time.process_time()
        signal.signal(signal.SIGPROF, lambda *_: os._exit(ENDLESS))

    def pytest_runtest_logstart(self, nodeid):
        """Before each test."""
        if time.process_time() - self.begin > MOST_S:
            os._exit(PATIENCE)
        os.write(self.report, f"{nodeid}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, LEAST_S + FACTOR * self.seconds.get(nodeid, 0))


def noticed(name, tests, seconds, options):
    """(whether one of `tests` fails with the mutant `name`, which one)."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        os.close(here)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.environ["MUTANT_UNDER_TEST"] = name
        ordered = sorted(tests, key=lambda test: (seconds.get(test, 0), test))
        os._exit(int(pytest.main(["-x", "-q", *options, *ordered], plugins=[Watch(seconds, there)])))
    os.close(there)
    with os.fdopen(here, encoding="utf-8") as shown:
        last = shown.read().splitlines()[-1:]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code not in (0, PATIENCE), *last


def main(path):
    """Judge them in order; exit code 0."""
    orders = json.load(sys.stdin)
    options, tests = orders["options"], orders["tests"]
    files = sorted({test.partition("::")[0] for called in tests.values() for test in called})
    os.environ["MUTANT_UNDER_TEST"] = ""
    pytest.main(["--collect-only", "-qqq", *options, *files])
    with open(path, "a", encoding="utf-8") as file:
        for name, function in orders["mutants"].items():
            killed, *by = noticed(name, tests[name], orders["seconds"], options) if tests[name] else (False,)
            outcome = {"name": name, "function": function, "killed": killed, "by": by[0] if killed and by else None}
            print(json.dumps(outcome), file=file, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
