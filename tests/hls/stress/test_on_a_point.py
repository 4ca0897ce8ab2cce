"""The engine of the ZedBoard's safe point, compiled and run: the golden model's records, within its model's cycles."""

import os
import subprocess
import sys

import pytest

from bitstreams import points

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
PROGRAMS = "80"


@pytest.mark.cosim
def test_random_programs_on_the_safe_point(tmp_path):
    folder = points.prepare("zedboard", points.point("zedboard", "safe"), tmp_path)
    command = [sys.executable, "-m", "tests.hls.stress.on_a_point", PROGRAMS]
    found = subprocess.run(command, env={**os.environ, **points.environment(folder)}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-500:]
    assert found.stdout == f"{PROGRAMS} programs, 2 taps, 1 ports of weights\n"
