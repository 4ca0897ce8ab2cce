"""--watch: figures as they are, on a terminal and elsewhere."""

import io
import re

import numpy as np

from host.budgets.budget import parse
from host.views.live import Progress, Watch
from tests.host.views.test_picture import make_run


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Meter:
    def latest(self):
        return 12.5, 2.345


class Clock:
    """A second a look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def screen(text):
    """The lines that a terminal shows after `text`, by the few sequences that are used."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\033\[\d*[AK]|\r|\n|[^\033\r\n]+", text):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
        elif token.endswith("A") and token[0] == "\033":
            row -= int(token[2:-1])
        elif token.endswith("K") and token[0] == "\033":
            lines[row] = lines[row][:column]
        else:
            lines[row] = lines[row][:column] + token + lines[row][column + len(token) :]
            column += len(token)
        lines += [""] * (row + 1 - len(lines))
    return [line for line in lines if line]


def watch(stream, batches=3, meter=None):
    run, _ = make_run(count=30)
    seen = Watch(["tap", "end"], meter, stream, Clock())
    for _ in range(batches):
        seen.batch_done(run.results, run.labels, parse("74M"), 0.5, 30 * batches)
    seen.end()
    return run


def test_a_terminal_shows_one_board_of_figures():
    stream = Terminal()
    run = watch(stream, meter=Meter())
    shown = screen(stream.getvalue())
    accuracy = (run.results.label == run.labels).mean()
    assert len(shown) <= 3
    assert shown[0].startswith(f"90 of 90 images  accuracy {accuracy:.1%}  60 images/s")
    assert "2.35 W (measured)" in shown[0] and "budget 74M" in shown[0]
    shares = [float(line.split()[1].rstrip("%")) for line in shown[1:]]
    assert sum(shares) > 99.8 and all("█" in line for line in shown[1:])


def test_elsewhere_a_line_now_and_then():
    stream = io.StringIO()
    watch(stream, batches=9)
    lines = stream.getvalue().splitlines()
    assert 3 <= len(lines) <= 6 and lines[-1].startswith("270 of 270") and "\033" not in stream.getvalue()
    assert "W (measured)" not in lines[0]


def test_an_exit_line_that_goes_away_leaves_nothing_behind():
    stream = Terminal()
    run, _ = make_run(count=30)
    seen = Watch([f"exit {index}" for index in range(40)], None, stream, Clock())
    for taken in ([0] * 30, range(30), [39] * 30):
        results = type(run.results)(**{**vars(run.results), "exit": np.array(list(taken))})
        seen.batch_done(results, run.labels, parse("none"), 0.5, 90)
    shown = screen(stream.getvalue())
    assert 2 <= len(shown) <= 7 and shown[0].startswith("90 of 90") and "exit 39" in shown[-1]


def test_progress_is_for_terminals():
    run, _ = make_run(count=30)
    for stream, empty in ((Terminal(), False), (io.StringIO(), True)):
        progress = Progress(stream)
        progress.batch_done(run.results, run.labels, parse("none"), 1.0, 60)
        progress.end()
        assert (stream.getvalue() == "") == empty
        assert not screen(stream.getvalue())
