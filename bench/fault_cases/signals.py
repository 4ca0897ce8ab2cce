"""Signals: an interrupt, a termination and a dropped line are the same orderly end, of every command; see __init__.py.

A command is started with one of its functions changed, so that it says how far it is and then takes long.
"""

import os
import signal
import time
from functools import partial
from unittest import mock

from bench.fault_cases import Case, Outcome, board
from bench.fault_cases.process import DEADLINE_S, RUN, Scene, running
from bench.standin import machine
from bench.standin.meter import LineMeter
from hls.command.signals import ENDING

# What stands before a command's own start: a golden model that waits at its call number STOP.
WAITING = """
import runpy, sys, time
from pathlib import Path
from host.simulation import Golden
calls, run = [], Golden.run
def waiting(*arguments):
    calls.append(1)
    if len(calls) == {stop}:
        Path("started").touch()
        time.sleep({seconds})
    return run(*arguments)
Golden.run = waiting
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
RECORDING = """
import sys
from pathlib import Path
from host.meters import __main__ as command
from host.meters.base import Meter
check = Meter.check
def checked(self):
    if len(self._collector) > 20:
        Path("started").touch()
    return check(self)
Meter.check = checked
sys.exit(command.main(sys.argv[1:]))
"""
COMPILER = """#!/bin/sh
case "$1" in --version) echo slow; exit 0;; esac
trap '' TERM HUP INT
sleep 100 &
echo $! > {folder}/child
touch {folder}/started
wait
"""


def waiting(stop=1, seconds=100):
    return "-c", WAITING.format(stop=stop, seconds=seconds)


def run(number):
    """A run that is ended in its first batch: nothing is written."""
    with Scene() as scene:
        said = scene.run(*waiting(), *RUN, scene.package, "--json", "a.json", number=number)
        return scene.outcome(said)


def sweep(number):
    """A sweep that is ended in its third budget: two results stay, and it goes on with them."""
    options = [
        "--package",
        "tiny.npz",
        "--backend",
        "golden",
        "--images",
        "3",
        "--budgets",
        "0.1k,5k,none",
        "--out",
        "s",
    ]
    with Scene() as scene:
        said = scene.run(*waiting(stop=3), "host/sweep.py", *options, number=number)
        kept = [name for name in scene.left() if name.startswith("budget-")]
        again = scene.run("host/sweep.py", *options)
        right = "2 results kept in s" in said.line and len(kept) == 2 and again.line.count("accuracy") <= 1
        return Outcome(said.line.split(" | ")[-1], said.code, int(not right), again.code == 0)


def ignored():
    """Under nohup a hang-up changes nothing."""
    with Scene() as scene:
        argv = [*waiting(seconds=1), *RUN, scene.package, "--json", "a.json"]
        said = scene.run(*argv, shell="trap '' HUP; exec \"$@\"", number=signal.SIGHUP)
        return scene.outcome(said, "a.json")


def recording(number):
    """A recording that is ended: the samples so far are written and shown."""
    with Scene() as scene, LineMeter() as device:
        said = scene.run("-c", RECORDING, "record", device.address, "--seconds", "100", "--csv", "t.csv", number=number)
        found = scene.outcome(said, "t.csv")
        return Outcome(found.sentence, found.exit_code, found.leaked + ("power" not in said.out), found.next_run_fine)


def compiling(number):
    """The engine's compiler, with a child, both deaf to the request: neither is left."""
    with Scene() as scene:
        path = scene.folder / "compiler"
        path.write_text(COMPILER.format(folder=scene.folder), encoding="utf-8")
        path.chmod(0o755)
        changes = {"CXX": str(path), "XDG_CACHE_HOME": str(scene.folder)}
        said = scene.run("-m", "hls.cosim", changes=changes, number=number)
        child = int((scene.folder / "child").read_text(encoding="ascii"))
        end = time.monotonic() + 10
        while running(child) and time.monotonic() < end:
            time.sleep(0.02)
        found = scene.outcome(said, "compiler", "child")
        return Outcome(found.sentence, found.exit_code, found.leaked + running(child), found.next_run_fine)


def on_the_board(*numbers):
    """A batch of the board's engine during which signals come, one after the other; its clean-up is done."""

    def send(_):
        for number in numbers:
            os.kill(os.getpid(), number)
        time.sleep(5)

    with mock.patch.object(machine, "_interrupt", send):
        return board.outcome(board.ordered(interrupt_program=2))


CASES = (
    *(
        Case(f"{signal.Signals(number).name}: {name}", partial(use, number), DEADLINE_S)
        for number in ENDING
        for name, use in {
            "a run": run,
            "a sweep": sweep,
            "a recording": recording,
            "a compiler": compiling,
            "a batch on the board": on_the_board,
        }.items()
    ),
    Case("several in the board's clean-up", partial(on_the_board, *ENDING, *ENDING), DEADLINE_S),
    Case("SIGHUP under nohup", ignored, DEADLINE_S, recovers=True),
)
