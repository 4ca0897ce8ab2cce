"""A fresh clone, as a newcomer has it: how long the README's first commands take there.

    found = times(Path(folder))      # {"run_seconds": …, "install_seconds": …, "test_seconds": …, …}

What is cloned is what is committed. Nothing of this checkout is used; pip may have what it downloads in its own cache.
"""

import os
import resource
import subprocess
import sys
import time

from bench.rows import ROOT
from hls.errors import UserError

COMMANDS = ("run", "install", "test")  # targets of make, in the order that a newcomer types them
SHOWN = 4000  # letters of what a command that failed has printed
# Of this process, and not of a newcomer.
OWN = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def times(folder, source=ROOT, commands=COMMANDS):
    """COMMAND_seconds and COMMAND_processor_seconds (of all cores) of each. UserError where one fails."""
    _run(["git", "clone", "--quiet", str(source), str(folder / "clone")], folder)
    found = {}
    for command in commands:
        began, spent = time.perf_counter(), processor_seconds()
        _run(["make", command], folder / "clone")
        found[f"{command}_seconds"] = time.perf_counter() - began
        found[f"{command}_processor_seconds"] = processor_seconds() - spent
    return found


def _run(command, folder):
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-SHOWN:], file=sys.stderr)
        last = ((done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"])[-1]
        raise UserError(f"{' '.join(command[:2])} in a fresh clone ended with {done.returncode}: {last}")


def processor_seconds():
    """Of all commands so far, on all cores: what does not depend on what else this machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
