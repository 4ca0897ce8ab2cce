"""What can go wrong around a command, case by case: each must end in one line for the user, with nothing left held.

    for case in cases("board"): …            # bench/fault_cases/board.py; "meter" likewise
    with Runner("board") as runner:
        why = runner.judge(case)             # "" when the case is survived

A case runs in a process of its family's, which is killed when the case takes longer than its deadline: a driver that
hangs fails its case, and nothing else. The same cases are the tests of tests/host/board/test_board_faults.py.
"""

import importlib
import importlib.util
import json
import re
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

FAMILIES = ("board", "meter", "network", "checkpoints", "files", "signals", "environment", "tools")
START_S = 60.0  # for a process to import what its cases need
LONGEST = 400  # characters of a sentence
ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"Traceback|File \"|\b\w+(Error|Exception)\b:|<class|object at 0x|NoneType")


@dataclass
class Outcome:
    """What came of a case."""

    sentence: str  # the one line that the user sees
    exit_code: int
    leaked: int  # buffers, ports, threads and locks still held
    next_run_fine: bool  # once the fault is gone


@dataclass(frozen=True)
class Case:
    """A fault to order. `recovers`: the driver gets over it by itself, and the results are right; else it ends with
    `exit_code`."""

    name: str
    run: Callable[[], Outcome]
    deadline_s: float
    recovers: bool = False
    exit_code: int = 2


def cases(family):
    """The Cases of a family, () while there is no module of that name."""
    name = f"bench.fault_cases.{family}"
    return tuple(importlib.import_module(name).CASES) if importlib.util.find_spec(name) else ()


def verdict(case, outcome):
    """Why `outcome` does not survive `case`, or ""."""
    sentence = outcome.sentence
    expected = 0 if case.recovers else case.exit_code
    if not sentence.strip() or "\n" in sentence or len(sentence) > LONGEST or CODE.search(sentence):
        return f"not one clear line: {sentence[:LONGEST]!r}"
    if outcome.exit_code != expected:
        return f"exit code {outcome.exit_code}, expected {expected}: {sentence}"
    if outcome.leaked:
        return f"{outcome.leaked} things still held after: {sentence}"
    return "" if outcome.next_run_fine else f"the next run fails after: {sentence}"


class Runner:
    """Runs the cases of a family in a process of their own."""

    def __init__(self, family):
        self._family, self._process = family, None

    def judge(self, case):
        """Why `case` is not survived, or ""."""
        try:
            outcome = self._ask(case.name, case.deadline_s)
        except (TimeoutError, OSError, ValueError, TypeError) as error:
            self.close()
            return f"{' '.join(str(error).split())}"
        return verdict(case, outcome)

    def outcome(self, case):
        """The Outcome of `case`; TimeoutError when it took longer than its deadline, OSError when its process ended."""
        return self._ask(case.name, case.deadline_s)

    def _ask(self, name, deadline_s):
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{name}\n".encode())
        process.stdin.flush()
        answer = json.loads(self._line(deadline_s))
        return Outcome(**answer) if isinstance(answer, dict) else self._raise(answer)

    def _raise(self, text):
        raise ValueError(f"the case itself failed: {text}")

    def _started(self):
        if self._process is None:
            command = [sys.executable, "-m", "bench.fault_cases.worker", self._family]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._line(START_S)
        return self._process

    def _line(self, seconds):
        """The process's next line."""
        process = self._process
        assert process is not None and process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"no end within {seconds:g} s")
        line = process.stdout.readline()
        if not line:
            raise OSError(f"its process ended with status {process.wait()}")
        return line

    def close(self):
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def answer(case):
    """What a worker answers: an Outcome's fields, or the text of what the case itself raised."""
    try:
        return asdict(case.run())
    except BaseException as error:
        return f"{type(error).__name__} {error}"
