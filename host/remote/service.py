"""What a board offers to its caller: versions, to take a package, to run images. Needs requirements/remote.txt.

    serve(BoardService(backend), read, write)    # two files, such as the standard streams; until the caller goes

Everything that comes in is bytes, numbers and text by value (RPyC's `brine`); pickle is off, and no attribute but the
three methods below can be reached. Who may call is for ssh to say, which started this program.
"""

import contextlib
import hashlib
import logging
import platform
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import rpyc

from hls import isa
from hls.errors import UserError
from hls.package import MAX_BYTES, PackageError, read
from hls.record import Start
from host.remote import link


class BoardService(rpyc.Service):
    """One backend for one caller. An answer is ("ok", …) or ("error", a sentence)."""

    ALIASES = ("DDI",)

    def __init__(self, backend):
        self._backend, self._sha256, self._package = backend, "", None

    def exposed_hello(self):
        """Names and versions, as pairs."""
        backend = self._backend
        found = {
            "isa": isa.HASH,
            "backend": backend.name,
            "title": backend.title,
            "version": backend.version,
            "threads": backend.threads,
            "clock_hz": int(getattr(backend, "clock_hz", 0)),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        return tuple(found.items())

    def exposed_load(self, data):
        """Take a package's file; it is checked as any file is."""
        if type(data) is not bytes or len(data) > MAX_BYTES:
            return "error", f"expected the bytes of a package, at most {MAX_BYTES}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "package.npz"
            path.write_bytes(data)
            try:
                package = read(path)
            except PackageError as error:
                return "error", str(error).replace(str(path), "the package")
        self._package, self._sha256 = package, hashlib.sha256(data).hexdigest()
        return "ok", self._sha256

    def exposed_run(self, sha256, images, start, history):
        """("ok", records, measured cycles or None, share of time in the engine or None, history) of images.

        `history` is the pool's, before and after them.
        """
        if sha256 != self._sha256:
            return "load", "another package is loaded"
        try:
            return self._run(self._package, images, start, history)
        except UserError as error:
            return "error", str(error)
        except Exception as error:  # whatever it is, the caller gets a sentence and the server stays
            text = f"its program failed ({type(error).__name__} {' '.join(str(error).split())})"
            logging.getLogger("server").error(text)
            return "error", text

    def _run(self, package, images, start, history):
        images = link.unpack(images, ("|u1",), 4)
        if images.shape[1:] != package.image_shape or not len(images):
            raise UserError(f"images of {images.shape}, expected (1 or more, {package.image_shape})")
        count = len(fields(Start))
        if type(start) is not tuple or len(start) != count or not all(type(value) is int for value in start):
            raise UserError(f"start parameters {start!r}, expected {count} whole numbers")
        backend, start = self._backend, Start(*start)
        history = link.unpack(history, ("<i8",), 2).copy()
        records = backend.run(package, images, start, history)
        cycles = getattr(backend, "measured_cycles", None)
        busy = getattr(backend, "busy_share", None)
        cycles = None if cycles is None else np.asarray(cycles, np.float64)
        busy = None if busy is None else float(busy)
        return "ok", link.pack(records), link.pack(cycles), busy, link.pack(history)


def serve(service, read, write):
    """Answer the caller at the other end of two files until it goes away."""
    logging.getLogger("server.rpyc").setLevel(logging.CRITICAL)  # it tells of callers that go
    config = {**link.CLOSED, "logger": logging.getLogger("server.rpyc")}
    connection = rpyc.connect_stream(rpyc.PipeStream(read, write), service, config)
    with contextlib.suppress(EOFError, OSError):
        connection.serve_all()
    connection.close()
