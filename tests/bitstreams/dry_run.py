"""What the vendor's tools would be told for a board, by running the scripts against the recorder of their commands.

python -m tests.bitstreams.dry_run      # write tests/bitstreams/golden/GENERATION.txt anew, after a change
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from bitstreams import design, vectors
from bitstreams.vitis import commands, synth
from bitstreams.vitis.tools import CLASSIC, GENERATIONS
from hls.record import Start
from tests.host import tiny

FOLDER = Path(__file__).resolve().parent
RECORDER = FOLDER / "recorder.tcl"
GOLDEN = FOLDER / "golden"
BOARD = "zedboard"  # whose scripts are kept; other boards' are compared with them
JOBS = 4


class Refused(Exception):
    """The recorder stopped at a call that the vendor's tool would not take."""


def batch():
    """(package, images, start) of the tiny package, in place of vectors.batch where the network does not matter."""
    package = tiny.package()
    images = np.random.default_rng(3).integers(0, 256, (2, *package.image_shape), np.uint8)
    return package, images, Start(package.gates, package.classes, map_words=package.map_words)


def prepare(board, generation, folder, clock_mhz=None):
    """The Job of a build in `folder` whose tools are names alone."""
    with mock.patch.object(vectors, "batch", batch):
        return synth.prepare(board, clock_mhz, synth.dry_tools(generation), Path(folder).resolve(), JOBS)


def record(script, folder, **environment):
    """Lines of what `script`, of the flow or a path, tells its tool in `folder`. Refused: the recorder stopped."""
    tool = "vivado" if Path(script).name == "implement.tcl" else "hls"
    log = Path(folder) / "recorded.txt"
    command = ["tclsh", str(RECORDER), tool, str(log), str(commands.FLOW / script)]
    variables = {**os.environ, **{f"RECORDER_{name.upper()}": value for name, value in environment.items()}}
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Refused(result.stderr.strip())
    return log.read_text(encoding="utf-8").splitlines()


def set_ports(folder, board, ports, widened=()):
    """Write parameters.tcl in `folder` for other ports than the contract's."""
    facts = design.facts(board, ports=ports, widened=widened)
    values = commands.parameters(facts, CLASSIC, folder, ("", ""), JOBS)
    (Path(folder) / commands.PARAMETERS).write_text(design.tcl(values), encoding="utf-8")


def golden(board, generation):
    """The text of the golden file: command lines, configuration, and what each script says to its tool."""
    with tempfile.TemporaryDirectory() as folder:
        job = prepare(board, generation, folder)
        lines = [f"What {board} is built with, {generation} command lines: made by tests/bitstreams/dry_run.py.", ""]
        scripts = [f"{stage}.tcl" for stage in commands.STAGES[:-1]] if generation == CLASSIC else []
        for stage in commands.STAGES:
            lines += [f"{stage:5} {step.line()}" for step in commands.steps(stage, job.tools, job.folder)]
        if generation != CLASSIC:
            text = (job.folder / commands.CONFIGURATION).read_text(encoding="utf-8")
            lines += ["", f"==== {commands.CONFIGURATION}", *text.splitlines()]
        for script in [*scripts, "implement.tcl"]:
            lines += ["", f"==== {script}", *record(script, folder)]
        text = "\n".join(lines) + "\n"
        return text.replace(str(job.folder), "BUILD").replace(str(commands.FLOW), "FLOW")


def path(generation):
    """Where the golden file of a generation of tools is; it is BOARD's."""
    return GOLDEN / f"{generation}.txt"


def main():
    """Write every golden file."""
    GOLDEN.mkdir(exist_ok=True)
    for generation in GENERATIONS:
        path(generation).write_text(golden(BOARD, generation), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
