"""Budgets that change while images run: a file with the steps, or lines on standard input.

    500 74M        # 500 images under 74M FLOPs each
    2.5s 1.2ms     # then, for 2.5 seconds, 1.2 ms an image
    none           # then the rest, without a budget; a line without a length is the last one

Empty lines and what follows a # are left out. After a last line with a length, its budget holds on. On standard input,
a line sets the next batch's budget; there a length may be left out on every line, and a line that is not understood is
reported and passed over. Every budget is hard, for each image, as any budget is.
"""

import math
import queue
import re
import threading
import time
from dataclasses import dataclass

from hls.errors import UserError
from host.budgets.budget import Budget, parse
from host.budgets.plan import Plan

MOST_LINES = 10_000
FIRST_S = 0.3  # the longest that the first batch waits for a first line
SMALL = 32  # images of a batch where the budget may change with time
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)
_IMAGES = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class Step:
    """A budget and how long it holds: for `images`, or for `seconds`, or to the end (both None)."""

    budget: Budget
    images: int | None = None
    seconds: float | None = None

    def __str__(self):
        if self.images is not None:
            return f"{self.images} {self.budget}"
        if self.seconds is not None:
            return f"{self.seconds:.9f}".rstrip("0").rstrip(".") + f"s {self.budget}"
        return str(self.budget)


def read(path):
    """The steps in a file. UserError, OSError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return parse_steps(file.read(MOST_LINES * 200), str(path))


def parse_steps(text, name="schedule"):
    """The steps of a schedule's text, at least one. UserError names the line that is not understood."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        step = parse_line(line, f"{name}, line {number}")
        if step is None:
            continue
        if steps and steps[-1].images is None and steps[-1].seconds is None:
            raise UserError(f"{name}, line {number}: the step before it has no length, so it holds to the end")
        steps.append(step)
        if len(steps) > MOST_LINES:
            raise UserError(f"{name} has more than {MOST_LINES} steps: give fewer")
    if not steps:
        raise UserError(f"{name} has no steps: expected lines like `500 74M` (images) or `2.5s 1.2ms` (seconds)")
    return tuple(steps)


def parse_line(line, name="line"):
    """The Step of one line, or None when there is nothing on it. UserError."""
    parts = line.split("#", 1)[0].split()
    if not parts:
        return None
    if len(parts) > 2:
        raise UserError(f"{name}: {len(parts)} words, expected `<images or seconds> <budget>`")
    try:
        budget = parse(parts[-1])
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    if len(parts) == 1:
        return Step(budget)
    length = parts[0]
    if _IMAGES.fullmatch(length) and int(length) > 0:
        return Step(budget, images=int(length))
    match = _SECONDS.fullmatch(length)
    if match and float(match[1]) > 0:
        return Step(budget, seconds=float(match[1]))
    shown = length if len(length) <= 20 else f"{length[:20]}…"
    raise UserError(f"{name}: {shown!r} is no length: expected images (500) or seconds (2.5s), more than 0")


# -------------------------------------------------------------------------------------------------------------- plans
class SchedulePlan(Plan):
    """Steps, one after the other."""

    kind = "schedule"

    def __init__(self, steps):
        super().__init__(steps[0].budget)
        self._steps, self._at = list(steps), 0
        self._images, self._seconds = 0, 0.0  # when the present step began

    def next(self, done, seconds):
        while self._at < len(self._steps) - 1 and self._left(done, seconds) <= 0:
            step = self._steps[self._at]
            self._images = self._images + step.images if step.images is not None else done
            self._seconds = self._seconds + step.seconds if step.seconds is not None else seconds
            self._at += 1
        step = self._steps[self._at]
        self.budget = step.budget
        if step.images is not None and self._at < len(self._steps) - 1:
            return step.budget, self._left(done, seconds)
        return step.budget, math.inf if step.seconds is None else SMALL

    def _left(self, done, seconds):
        """Images or seconds left of the present step; infinite for one without a length."""
        step = self._steps[self._at]
        if step.images is not None:
            return step.images - (done - self._images)
        return math.inf if step.seconds is None else step.seconds - (seconds - self._seconds)


class LinesPlan(Plan):
    """Steps that come in as lines (standard input), each in force from the next batch on.

    `check(budget)` raises UserError for one that is too small; `warn(sentence)` is told of lines passed over.
    """

    kind = "schedule"

    def __init__(self, file, first, check, warn):
        super().__init__(first)
        self._lines, self._check, self._warn = queue.Queue(), check, warn
        self._waiting, self._until = [], None  # steps not begun, and (images, seconds) at which the present one ends
        self._first_s = FIRST_S
        threading.Thread(target=self._read, args=(file,), daemon=True).start()

    def _read(self, file):
        for line in file:
            self._lines.put(line)

    def next(self, done, seconds):
        give_up, self._first_s = time.monotonic() + self._first_s, 0.0
        while self._lines.empty() and time.monotonic() < give_up:
            time.sleep(0.01)
        self._take()
        over = self._until is None or done >= self._until[0] or seconds >= self._until[1]
        if over and self._waiting:
            step = self._waiting.pop(0)
            self.budget = step.budget
            self._until = None
            if step.images is not None or step.seconds is not None:
                self._until = done + (step.images or math.inf), seconds + (step.seconds or math.inf)
        most = SMALL if self._until is None else min(SMALL, self._until[0] - done)
        return self.budget, max(most, 1)

    def _take(self):
        """What has come in since the last batch; a line without a length ends what was under way."""
        while not self._lines.empty():
            try:
                step = parse_line(self._lines.get(), "standard input")
                if step is None:
                    continue
                self._check(step.budget)
            except UserError as error:
                self._warn(f"{error}; going on with {self.budget}")
                continue
            if step.images is None and step.seconds is None:
                self._waiting, self._until = [], None
            self._waiting.append(step)
