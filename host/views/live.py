"""What a run looks like while it goes on: a line of progress, or with --watch a small board of figures.

watch = Progress()                       # a line on a terminal
watch = Watch(exit_names, meter)         # accuracy, images a second, power, exits
"""

import sys
import time

import numpy as np

from host.budgets.budget import show

BAR = 24  # columns of the longest bar
EVERY_S = 0.2  # between two drawings on a terminal
LINE_S = 2.0  # between two lines where the output is no terminal
MOST_EXITS = 6  # in sight


class Progress:
    """How far a run is, on a terminal only. `batch` is the most images between two looks."""

    batch = 256

    def __init__(self, stream=None):
        self.stream = stream or sys.stderr
        self.done, self.seconds = 0, 0.0

    def batch_done(self, results, labels, budget, seconds, total):
        """A batch took `seconds` on the backend."""
        self.done, self.seconds = self.done + len(labels), self.seconds + seconds
        if self.stream.isatty():
            left = self.seconds / self.done * (total - self.done)
            print(
                f"\r{self.done:,} of {total:,} images, {left:.0f} s left \033[K", end="", file=self.stream, flush=True
            )

    def end(self):
        """Take the line away."""
        if self.stream.isatty():
            print("\r\033[K", end="", file=self.stream, flush=True)


class Watch(Progress):
    """Accuracy, images a second, power and exits as they are; a line every LINE_S where there is no terminal."""

    batch = 64

    def __init__(self, exit_names, meter=None, stream=None, clock=time.monotonic, pool=None):
        super().__init__(stream)
        self._names, self._meter, self._clock = exit_names, meter, clock
        self._right, self._exits, self._flops = 0, np.zeros(len(exit_names), int), 0
        self._drawn, self._lines = -np.inf, 0
        self._shared = f", shared by {pool} images" if pool else ""

    def batch_done(self, results, labels, budget, seconds, total):
        self.done, self.seconds = self.done + len(labels), self.seconds + seconds
        self._right += int((results.label == labels).sum())
        self._flops += int(results.flops.sum())
        self._exits += np.bincount(results.exit, minlength=len(self._names))
        terminal = self.stream.isatty()
        now = self._clock()
        if now - self._drawn >= (EVERY_S if terminal else LINE_S) or self.done >= total:
            self._drawn = now
            figures = self._figures(budget, len(labels) / max(seconds, 1e-9), total)
            if terminal:
                self._draw([figures, *self._bars()])
            else:
                print(figures, file=self.stream, flush=True)

    def end(self):
        """Leave the last figures in sight."""
        self._lines = 0

    def _figures(self, budget, speed, total):
        watt = self._watt()
        power = f"  {watt:.2f} W (measured)" if watt is not None else ""
        return (
            f"{self.done:,} of {total:,} images  accuracy {self._right / self.done:.1%}  {speed:,.0f} images/s  "
            f"{show(self._flops / self.done, 'flops')} FLOPs an image{power}  budget {budget}{self._shared}"
        )

    def _watt(self):
        latest = self._meter.latest() if self._meter else None
        return latest[1] if latest else None

    def _bars(self):
        """A line for each of the exits taken most, in their order."""
        most = sorted(np.flatnonzero(self._exits), key=lambda index: -self._exits[index])[:MOST_EXITS]
        width = max((len(self._names[index]) for index in most), default=0)
        top = max(self._exits.max(), 1)
        for index in sorted(most):
            share = self._exits[index] / self.done
            yield f"  {self._names[index]:<{width}} {share:>6.1%} {'█' * max(round(BAR * self._exits[index] / top), 1)}"

    def _draw(self, lines):
        up = f"\033[{self._lines}A" if self._lines else ""
        gone = max(self._lines - len(lines), 0)  # an exit line fewer than before
        body = "".join(f"\r{line}\033[K\n" for line in lines) + "\033[K\n" * gone
        self._lines = len(lines) + gone
        print(up + body, end="", file=self.stream, flush=True)
