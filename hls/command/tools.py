"""Programs that a command starts: in the C locale, and ended with everything they started when the command ends.

    result = run(["g++", …])          # as subprocess.run: returncode, stdout, stderr

In another locale a tool may write 7,000 for 7 (Vivado), or translate the words that are looked for in its output.
"""

import contextlib
import os
import signal
import subprocess
from typing import Any

from hls.command.signals import held

GRACE_S = 5.0  # from the request to end to the order


def environment(changes=None):
    """This process's environment with `changes` (name → text), in the C locale."""
    return {**os.environ, **(changes or {}), "LC_ALL": "C"}


def run(command, *, cwd=None, changes=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, given=None, limit_s=None):
    """The subprocess.CompletedProcess of `command`, its output as text, whatever bytes it holds.

    changes: of the environment. given: text for its standard input. An interrupt or the limit (TimeoutExpired) ends it
    and its children: they are a process group of their own, which a signal to this process alone would not reach.
    """
    pipes: dict[str, Any] = {"stdout": stdout, "stderr": stderr}
    pipes["stdin"] = subprocess.DEVNULL if given is None else subprocess.PIPE
    text = {"encoding": "utf-8", "errors": "replace"}
    process = None
    try:
        with held():  # a signal that came before `process` is known would leave it running
            process = subprocess.Popen(
                command, cwd=cwd, env=environment(changes), start_new_session=True, **pipes, **text
            )
        out, err = process.communicate(given, timeout=limit_s)
    except BaseException:
        if process is not None:
            with process:
                _end(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _end(process):
    """Ask the process group to end, and after GRACE_S make it."""
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
