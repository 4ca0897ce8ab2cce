"""Which tests call which mutated function: the tests are run once, each with what it called and took written down.

    python -m bench.mutants.calls calls.jsonl OPTION… TEST…      # where the mutants are

One JSON object a test: `test`, `calls` (functions by mutmut's names), `seconds` of processor time, whether it `passed`,
and `file`, a digest of the test's file. A test whose file is as it was is not run again, so that a run that was
interrupted goes on. A fixture of many tests calls for the first of them alone (bench/mutants/order.py).
"""

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest


class Calls:
    """A pytest plugin: adds a line for each test that has none yet."""

    def __init__(self, path):
        self.path, self.called, self.passed = Path(path), set(), True
        self.known = {(line["test"], line["file"]) for line in read(path)}
        trampoline: Any = importlib.import_module("mutmut.mutation.trampoline")
        trampoline.record_trampoline_hit = lambda name, caller=None: self.called.add(name)

    def pytest_collection_modifyitems(self, items):
        """Leave out what is known."""
        items[:] = [item for item in items if (item.nodeid, _digest(item.path)) not in self.known]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Around each test, its fixtures included."""
        self.called.clear()
        self.passed, begin = True, _spent()
        result = yield
        line = {"test": item.nodeid, "file": _digest(item.path), "passed": self.passed}
        line |= {"seconds": round(_spent() - begin, 3), "calls": sorted(self.called)}
        with self.path.open("a", encoding="utf-8") as file:
            print(json.dumps(line), file=file)
        return result

    def pytest_runtest_logreport(self, report):
        """Of set-up, call and teardown."""
        self.passed = self.passed and report.outcome == "passed"


def read(path):
    """The lines of a file of calls, the newest of each test; none where there is no file."""
    if not Path(path).exists():
        return []
    lines = map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
    return list({line["test"]: line for line in lines}.values())


def present(lines, root):
    """Those of `lines` whose test's file, under `root`, is still as it was: others may be of tests that are gone."""
    found = {name: _digest(Path(root, name)) for name in {_file(line) for line in lines} if Path(root, name).exists()}
    return [line for line in lines if line["file"] == found.get(_file(line))]


def _file(line):
    return line["test"].partition("::")[0]


def _spent():
    return sum(os.times()[:4])


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def main(path, *arguments):
    """pytest's exit code; 0 where all tests are known."""
    os.environ["MUTANT_UNDER_TEST"] = "stats"
    code = pytest.main(["-q", *arguments], plugins=[Calls(path)])
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
