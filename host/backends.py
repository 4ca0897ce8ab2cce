"""The choice among the places to run that this machine has.

    with choose("auto", threads=2, warn=print) as backend:
        records = backend.run(package, images, start)   # (N, words) int32

`auto` takes the best one.
"""

from itertools import pairwise

from hls.errors import UserError
from host.backend import BackendMissing
from host.board import catalog, machine
from host.board.driver import Pynq
from host.simulation import Cosim, Golden

AUTO = ("pynq", "cosim", "golden")  # in order of preference
NAMES = ("auto", *AUTO)
_CLASSES = {backend.name: backend for backend in (Pynq, Cosim, Golden)}


def choose(name, threads, warn):
    """An open backend. `auto` takes the first of AUTO that this machine has, and says by `warn` what it did without.

    A machine without pynq is no board, which needs no word. UserError when the one asked for cannot be had.
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


def open_backend(arguments, tell):
    """The backend that --backend names, made ready. UserError."""
    name = arguments.backend
    if name not in NAMES and not str(name).startswith("remote:"):
        raise UserError(f"unknown backend {name!r}: expected {', '.join(NAMES)} or remote:[USER@]HOST")
    if name.startswith("remote:"):
        from host.remote.client import Remote  # its library is not everywhere

        command = ["host/server.py", "--board", arguments.board, *(["--interrupt"] if arguments.interrupt else [])]
        return Remote(name.removeprefix("remote:"), tell, command)
    chosen = arguments.interrupt or arguments.board != catalog.DEFAULT
    if chosen and name in ("auto", "pynq") and machine.present():
        return Pynq(board=arguments.board, interrupt=arguments.interrupt)
    if arguments.interrupt:
        tell("this machine is no board: --interrupt changes nothing")
    return choose(name, arguments.threads, tell)
