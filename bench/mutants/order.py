"""Which tests a mutant is shown, the likeliest first: those that call its function, then those that stand beside them.

What calls a function is known of calls in the test's own process, and of a shared fixture for the first test alone that
asks for it. So the other tests of the same files come next, and what the unit's name finds (tests/README.md).
"""

from collections import defaultdict
from pathlib import PurePosixPath


def ordered(module, called, seconds):
    """Tests of `seconds` (test → its seconds) for a mutant of `module` (a.b.c) whose function those in `called` call.

    A file's tests stand together, so that its fixtures are made once; the unit's own file first, then quick ones.
    """
    wider = [test for test in seconds if _file(test) in {_file(test) for test in called} or _named(module, test)]
    first = _by_file(module, called, seconds)
    return first + _by_file(module, set(wider) - set(called), seconds)


def _by_file(module, tests, seconds):
    files = defaultdict(list)
    for test in tests:
        files[_file(test)].append(test)
    times = {file: sum(seconds.get(test, 0) for test in found) for file, found in files.items()}
    order = sorted(files, key=lambda file: (not _own(module, file), times[file], file))
    return [test for file in order for test in sorted(files[file], key=lambda test: (seconds.get(test, 0), test))]


def _file(test):
    return test.partition("::")[0]


def _own(module, file):
    return PurePosixPath(file).stem == f"test_{module.rpartition('.')[2]}"


def _named(module, test):
    """Whether the test's file, or its room under tests/, has the unit's name; `a.b` itself has none but its file."""
    room = PurePosixPath("tests", *module.split(".")[:-1])
    file = PurePosixPath(_file(test))
    return _own(module, _file(test)) or (len(room.parts) > 2 and room in file.parents)
