"""The choice among the places to run that this machine has.

    with choose("auto", threads=2, warn=print) as backend:
        records = backend.run(package, images, start)   # (N, words) int32

`auto` takes the best one.
"""

from itertools import pairwise

from host.backend import BackendMissing
from host.board import machine
from host.board.driver import Board
from host.simulation import Cosim, Golden

AUTO = ("pynq", "cosim", "golden")  # in order of preference
NAMES = ("auto", *AUTO)
_CLASSES = {backend.name: backend for backend in (Board, Cosim, Golden)}


def choose(name, threads, warn):
    """An open backend. `auto` takes the first of AUTO that this machine has, and says by `warn` what it did without.

    A machine without pynq is no board, which needs no word. BackendError when the one asked for cannot be had.
    """
    if name != "auto":
        return _CLASSES[name](threads)
    candidates = AUTO if machine.present() else AUTO[1:]
    for candidate, following in pairwise(candidates):
        try:
            return _CLASSES[candidate](threads)
        except BackendMissing as error:
            warn(f"{error}; going on with {_CLASSES[following].title}")
    return _CLASSES[candidates[-1]](threads)
