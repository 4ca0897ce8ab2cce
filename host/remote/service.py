"""What a board offers over the network: versions, to take a package, to run images. Needs requirements/remote.txt.

    server = listen(backend, "127.0.0.1", 0, key)    # server.port is the port; server.start() until server.close()

Everything that comes in is bytes, numbers and text by value (RPyC's `brine`); pickle is off, no attribute but the three
methods below can be reached, and only a caller with the key gets that far.
"""

import hashlib
import logging
import platform
import socket
import tempfile
import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import rpyc
from rpyc.utils.authenticators import AuthenticationError
from rpyc.utils.server import ThreadedServer

from hls import isa
from hls.errors import UserError
from hls.package import MAX_BYTES, PackageError, read
from hls.record import Start
from host.remote import link


class BoardService(rpyc.Service):
    """One backend, used by one caller at a time. An answer is ("ok", …) or ("error", a sentence)."""

    ALIASES = ("DDI",)

    def __init__(self, backend):
        self._backend, self._lock = backend, threading.Lock()
        self._sha256, self._package = "", None

    def exposed_hello(self):
        """Names and versions, as pairs."""
        backend = self._backend
        found = {
            "protocol": link.PROTOCOL,
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
        with self._lock:
            self._package, self._sha256 = package, hashlib.sha256(data).hexdigest()
        return "ok", self._sha256

    def exposed_run(self, sha256, images, start):
        """("ok", records, measured cycles or None, share of time in the engine or None) of images under `start`."""
        with self._lock:
            if sha256 != self._sha256:
                return "load", "another package is loaded"
            try:
                return self._run(self._package, images, start)
            except UserError as error:
                return "error", str(error)
            except Exception as error:  # whatever it is, the caller gets a sentence and the server stays
                logging.getLogger("server").exception("a run failed")
                return "error", f"{type(error).__name__}: {error}"

    def settle(self, seconds):
        """Wait for a run under way, but no longer than that, so that its backend can be closed."""
        if self._lock.acquire(timeout=seconds):
            self._lock.release()

    def _run(self, package, images, start):
        images = link.unpack(images, ("|u1",), 4)
        if images.shape[1:] != package.image_shape or not len(images):
            raise UserError(f"images of {images.shape}, expected (1 or more, {package.image_shape})")
        count = len(fields(Start))
        if type(start) is not tuple or len(start) != count or not all(type(value) is int for value in start):
            raise UserError(f"start parameters {start!r}, expected {count} whole numbers")
        backend = self._backend
        records = backend.run(package, images, Start(*start))
        cycles = getattr(backend, "measured_cycles", None)
        busy = getattr(backend, "busy_share", None)
        cycles = None if cycles is None else np.asarray(cycles, np.float64)
        return "ok", link.pack(records), link.pack(cycles), None if busy is None else float(busy)


class _Server(ThreadedServer):
    """A server that takes it quietly when a caller goes away, or when it is itself closed."""

    def _handle_connection(self, conn):
        try:
            conn.serve_all()
        except (EOFError, OSError):
            conn.close()


def listen(backend, host, port, key):
    """A server on host:port (0: any free one) that lets in callers with `key`. OSError if it cannot be had."""

    def authenticate(sock):
        try:
            return link.answer(sock, key), None
        except (link.HandshakeError, OSError) as error:
            sock.close()
            raise AuthenticationError(str(error)) from None

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()  # RPyC leaves its socket open where it cannot bind it
    logger = logging.getLogger("server.rpyc")
    server = _Server(
        BoardService(backend),
        hostname=host,
        port=port,
        ipv6=":" in host,
        authenticator=authenticate,
        protocol_config=dict(link.CLOSED),
        logger=logger,
    )
    server.listener.listen(server.backlog)  # callers may come from now on, and wait until start()
    return server
