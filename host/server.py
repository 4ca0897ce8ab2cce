"""Let laptops run images on this board (or on this machine's co-simulation) over the network.

    python host/server.py --new-key                       # once; copy the key file to the laptop (scp), mode 0600
    python host/server.py --listen 0.0.0.0:18861          # on the board; Ctrl-C ends it
    python host/run.py --backend remote:board --budget 74M        # on the laptop

Exit codes: 0 ended; 2 bad input, with one line that says what to do.
"""

import logging
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.command.arguments import THREADS, Parser
from hls.command.signals import handled
from hls.errors import UserError
from host.backends import NAMES, open_backend
from host.board import catalog
from host.remote import link

SETTLE_S = 10.0  # for a run under way when the server is ended
MISSING = "RPyC is not installed here: pip install -r requirements/remote.txt (on a board: pip install --no-deps)"


def main(argv=None):
    """Serve until interrupted, and give the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.key = arguments.key or link.key_path()
        if arguments.new_key:
            link.write_key(arguments.key)
            print(f"wrote {arguments.key}: copy it to the other machine, where it must also have mode 0600")
            return 0
        with handled():
            return _serve(arguments)
    except (UserError, ValueError) as error:
        return _fail(error)
    except OSError as error:
        return _fail(f"{error}: is the port taken, or the address another machine's? give another --listen")
    except KeyboardInterrupt:
        return 0


def _serve(arguments):
    host, port = link.address(arguments.listen)
    key = link.read_key(arguments.key)
    try:
        from host.remote import service
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("rpyc", "plumbum"):
            raise
        return _fail(MISSING)
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.ERROR, format="server: %(message)s")
    with open_backend(arguments, _warn) as backend:
        server = service.listen(backend, host, port, key)
        print(f"{backend.title} listens on {server.host}:{server.port}", flush=True)
        server.start()
        server.service.settle(SETTLE_S)
    return 0


def _parser():
    parser = Parser(
        prog="host/server.py",
        description=__doc__.splitlines()[0],
        epilog=f"Exit codes:{__doc__.split('Exit codes:')[1]}",
    )
    add = parser.add_argument
    add("--listen", default=f"127.0.0.1:{link.PORT}", metavar="A", help="address and port (default: %(default)s)")
    add("--backend", choices=NAMES, default="auto", help="auto: the best that this machine has (default: %(default)s)")
    add("--board", default=catalog.DEFAULT, metavar="NAME", help="whose bitstream (default: %(default)s)")
    add("--interrupt", action="store_true", help="wait for the board's engine by its interrupt, not by polling")
    add("--threads", type=THREADS, default=1, metavar="N", help="threads of the co-simulation (default: %(default)s)")
    add("--key", metavar="FILE", help=f"the shared key (default: {link.KEY})")
    add("--new-key", action="store_true", help="make a key file and end")
    add("--verbose", action="store_true", help="say who calls, on standard error")
    return parser


def _warn(message):
    print(f"server: {message}", file=sys.stderr)


def _fail(message):
    print(f"server: {' '.join(str(message).split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
