"""Let a laptop run images on this board (or on this machine's co-simulation): the laptop starts this by ssh.

    python host/run.py --backend remote:xilinx@192.168.2.99 --budget 74M        # on the laptop; nothing to start here
    python3 host/server.py --board zedboard                                     # what that runs here

It serves the one caller at its standard streams, and ends when that goes; who may call is for ssh to say.

Exit codes: 0 ended; 2 bad input, with one line that says what to do.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.command.arguments import THREADS, Parser
from hls.command.signals import handled
from hls.errors import UserError
from host.backends import NAMES, open_backend
from host.board import catalog
from host.remote.ssh import GREETING

MISSING = "RPyC is not installed there: pip install -r requirements/remote.txt (on a board: pip install --no-deps)"


def main(argv=None):
    """Serve until the caller goes or this is interrupted, and give the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        with handled():
            return _serve(arguments)
    except (UserError, ValueError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        return 0


def _serve(arguments):
    try:
        from host.remote import service
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("rpyc", "plumbum"):
            raise
        return _fail(MISSING)
    logging.basicConfig(level=logging.ERROR, format="server: %(message)s")
    with _streams() as (read, write), open_backend(arguments, _warn) as backend:
        write.write(GREETING)
        service.serve(service.BoardService(backend), read, write)
    return 0


@contextlib.contextmanager
def _streams():
    """Standard input and output for the protocol alone: what else is printed goes to standard error."""
    with os.fdopen(os.dup(0), "rb", 0) as read, os.fdopen(os.dup(1), "wb", 0) as write:
        os.dup2(2, 1)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        yield read, write


def _parser():
    parser = Parser(
        prog="host/server.py",
        description=__doc__.splitlines()[0],
        epilog=f"Exit codes:{__doc__.split('Exit codes:')[1]}",
    )
    add = parser.add_argument
    add("--backend", choices=NAMES, default="auto", help="auto: the best that this machine has (default: %(default)s)")
    add("--board", default=catalog.DEFAULT, metavar="NAME", help="whose bitstream (default: %(default)s)")
    add("--interrupt", action="store_true", help="wait for the board's engine by its interrupt, not by polling")
    add("--threads", type=THREADS, default=1, metavar="N", help="threads of the co-simulation (default: %(default)s)")
    return parser


def _warn(message):
    print(f"server: {message}", file=sys.stderr)


def _fail(message):
    print(f"server: {' '.join(str(message).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
