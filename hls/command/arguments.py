"""Options of a command line: numbers with their range, and one sentence for whatever is wrong.

parser = Parser(prog="python -m export", description=__doc__)
parser.add_argument("--threads", type=THREADS)
parser.add_argument("--seconds", type=Real(0, 1e6, without_least=True))
"""

import argparse
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from hls.command.entry import tolerant
from hls.errors import UserError

SHOWN = 40  # letters of what was given


class Parser(argparse.ArgumentParser):
    """argparse's, with one line where the command line is wrong: what was found and what is expected; exit code 2."""

    def __init__(self, *arguments, **options):
        tolerant()  # before a --help with letters that the terminal does not have
        super().__init__(*arguments, **options)

    def error(self, message) -> NoReturn:
        """End the program."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (--help says more)\n")


def check_names(option, given, known):
    """UserError for the first of the names `given` to an option that is none of the `known` ones."""
    for name in given or ():
        if name not in known:
            raise UserError(f"{option} {name}: expected {', '.join(known)}")


@dataclass(frozen=True)
class Whole:
    """The type of an argument: a whole number from `least` to `most`, None for no end."""

    least: int
    most: int | None = None

    def __call__(self, text):
        return _within(self, text, int)

    def __str__(self):
        return f"a whole number{_range(self.least, self.most)}"


@dataclass(frozen=True)
class Real:
    """The type of an argument: a finite number from `least` to `most`; without_least: more than it."""

    least: float
    most: float | None = None
    without_least: bool = False

    def __call__(self, text):
        return _within(self, text, float)

    def __str__(self):
        if not self.without_least:
            return f"a number{_range(self.least, self.most)}"
        return f"a number above {self.least:g}" + (f", {self.most:g} at most" if self.most is not None else "")


@dataclass(frozen=True)
class Several:
    """The type of an argument: `count` numbers of one kind apart by commas, as a tuple."""

    count: int
    kind: Any

    def __call__(self, text):
        parts = text.split(",")
        if len(parts) != self.count:
            raise argparse.ArgumentTypeError(f"{text[:SHOWN]!r}: expected {self}")
        return tuple(self.kind(part) for part in parts)

    def __str__(self):
        return f"{self.count} numbers apart by commas"


THREADS = Whole(1, 1024)


def _range(least, most):
    return f", {least:g} or more" if most is None else f" from {least:g} to {most:g}"


def _within(kind, text, convert):
    """The number in `text`. ArgumentTypeError, which argparse says, for one out of range or none at all."""
    try:
        value = convert(text)
    except (ValueError, OverflowError):
        value = math.nan
    above = value > kind.least if getattr(kind, "without_least", False) else value >= kind.least
    if not above or not math.isfinite(value) or (kind.most is not None and value > kind.most):
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]!r}: expected {kind}")
    return value
