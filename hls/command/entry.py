"""How a command ends: with the exit code of its work, or one line on standard error and the code of what went wrong.

    def main(argv=None):
        arguments = _parser().parse_args(argv)
        return guarded("export", lambda: export(arguments))

Exit code 2 is bad input, a file that cannot be used, or an interrupt (hls/command/signals.py).
"""

import contextlib
import io
import os
import sys

from hls.command.signals import handled
from hls.errors import UserError

INTERRUPTED = "interrupted: nothing was written"


def guarded(name, work, interrupted=INTERRUPTED, codes=None):
    """The exit code of `work()`, or of what ended it, which is said in one line that begins with `name`.

    interrupted: what to say after a signal, or a function that gives it. codes: exception → exit code, where it is not
    2; of exceptions that are no UserError only those named there are caught.
    """
    codes = codes or {}
    tolerant()
    try:
        with handled():
            return work()
    except (UserError, *codes) as error:
        if isinstance(error, KeyboardInterrupt):
            return _interrupted(name, interrupted, codes)
        return fail(name, error, next((code for kind, code in codes.items() if isinstance(error, kind)), 2))
    except KeyboardInterrupt:
        return _interrupted(name, interrupted, codes)
    except BrokenPipeError:
        _give_up_stdout()
        return fail(name, "standard output was closed before the result was printed")
    except OSError as error:
        return fail(name, f"{error}: check that the file can be read or written")
    except MemoryError:
        return fail(name, "not enough memory: give less at once, such as fewer images")


def _interrupted(name, interrupted, codes):
    text = interrupted() if callable(interrupted) else interrupted
    return fail(name, text, codes.get(KeyboardInterrupt, 2))


def fail(name, message, code=2):
    """Say `message` in one line, and give the exit code."""
    say(name, message)
    return code


def say(name, message):
    """One line on standard error, in place of a line of progress; nothing where that is gone, as after a hang-up."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        begin = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{begin}{name}: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def tolerant():
    """A letter that the terminal's encoding does not have is printed as `?`, and ends nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def _give_up_stdout():
    """Else the interpreter, when it ends, complains of what it cannot write."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
