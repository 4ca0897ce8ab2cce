"""An interrupt, a termination and a dropped line (SIGINT, SIGTERM, SIGHUP) are one thing: the command comes to an end.

    with handled():                                  # each becomes a KeyboardInterrupt, once
        ...
    with handled(lambda *_: stop.set()):             # or a call
    with held():                                     # what must not be torn: they come after it

Once the end has begun, further ones do not break into it: a board's engine is stopped and its buffers are given back
in peace (SIGQUIT and SIGKILL still end the process). One that is ignored from the start, as under nohup, stays ignored.
"""

import contextlib
import signal
import threading

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def handled(handler=None):
    """While the body runs, the signals of ENDING call `handler(number, frame)`; without one, KeyboardInterrupt.

    Only the main thread gets signals: in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        _set({number for number, old in before.items() if old is not signal.SIG_IGN}, handler or _interrupt)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


@contextlib.contextmanager
def held():
    """A signal of ENDING that comes while the body runs takes effect after it."""
    came = []
    with handled(lambda number, frame: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


def _interrupt(number, frame):
    _set({other for other in ENDING if signal.getsignal(other) is not signal.SIG_IGN}, _passed_over)
    raise KeyboardInterrupt


def _passed_over(number, frame):
    """A handler, not SIG_IGN, which programs that are started meanwhile would inherit."""


def _set(numbers, handler):
    for number in numbers:
        signal.signal(number, handler)
