"""What both ends of a connection to a board elsewhere share: the key, the handshake, sealed bytes, arrays as bytes.

    write_key(path)                         # a new key, for its owner's eyes alone; the same file on both machines
    sealed = answer(socket, key)            # the board's side; HandshakeError for anybody without the key
    sealed = introduce(socket, key)         # the laptop's side; HandshakeError if the board has another key

Each side proves by HMAC-SHA256 over both sides' nonces that it has the key, before anything else is read. Every message
after that carries a tag made with a key of this connection and a count, so that nobody in between can add, change or
repeat one. The bytes themselves are not hidden: who listens sees images and weights; use an SSH tunnel if that matters.
"""

import hashlib
import hmac
import os
import secrets
import struct
from pathlib import Path

import numpy as np

from hls.command import places
from hls.errors import UserError

PORT = 18861
KEY = "~/.config/ddi/remote.key, or in $XDG_CONFIG_HOME"
PROTOCOL = 2
GREETING = b"ddi-link-1\n"
NONCE = KEY_BYTES = 32
TAG = 16
MAX_MESSAGE = 1 << 20  # RPyC writes at most 64 kB at once
PATIENCE_S = 10.0  # within a handshake or a message; between messages a peer may be silent
_LENGTH = struct.Struct("!I")
CLOSED = {  # RPyC's settings: nothing of an object can be reached that is not meant for it
    "allow_pickle": False,
    "allow_safe_attrs": False,
    "allow_public_attrs": False,
    "allow_all_attrs": False,
    "allow_setattr": False,
    "allow_delattr": False,
    "import_custom_exceptions": False,
    "instantiate_custom_exceptions": False,
    "include_local_traceback": False,
    "include_local_version": False,
    "close_catchall": True,
}


class HandshakeError(UserError):
    """A peer that does not prove that it has the key; the message is one line."""


def address(text, default_port=PORT):
    """(host, port) of "host", "host:port" or "[IPv6]:port". UserError naming what is wrong."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest and "?"
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or (port and not (port.isascii() and port.isdigit() and int(port) < 65536)):
        raise UserError(f"address {text!r} is not understood: expected host or host:port, with a port below 65536")
    return host, int(port) if port else default_port


# ---------------------------------------------------------------------------------------------------------------- key
def key_path():
    """Where the key is unless --key says otherwise: KEY. UserError where the user has no home."""
    return places.config("remote.key")


def write_key(path):
    """Write a new key at `path` with mode 0600. UserError if a file is there: a key in use is not overwritten."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
    except FileExistsError:
        raise UserError(f"{path} is there already: copy it to the other machine, or delete it first") from None


def read_key(path):
    """The key (KEY_BYTES bytes) in the file at `path`. UserError when it cannot be used."""
    path = Path(path)
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
    except (OSError, ValueError):
        remedy = "make one (python host/server.py --new-key) and copy it to the other machine"
        raise UserError(f"no key can be read from {path}: {remedy}") from None
    if os.name == "posix" and mode & 0o077:
        raise UserError(f"{path} can be read by others (mode {mode & 0o777:04o}): chmod 600 {path}")
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UserError(
            f"{path} is not a key of {2 * KEY_BYTES} hexadecimal digits: copy it again from the other machine"
        )
    return key


# ---------------------------------------------------------------------------------------------------------- handshake
def answer(sock, key):
    """Prove the key to a caller and have it proven: a Sealed socket. HandshakeError, OSError."""
    sock.settimeout(PATIENCE_S)
    ours = secrets.token_bytes(NONCE)
    sock.sendall(GREETING + ours)
    said = _exactly(sock, NONCE + hashlib.sha256().digest_size)
    theirs, proof = said[:NONCE], said[NONCE:]
    nonces = ours + theirs
    if not hmac.compare_digest(proof, _mac(key, b"laptop", nonces)):
        raise HandshakeError("a caller has another key: copy the same key file to both machines")
    sock.sendall(_mac(key, b"board", nonces))
    session = _mac(key, b"session", nonces)
    return Sealed(sock, session, b"board", b"laptop")


def introduce(sock, key):
    """Prove the key to a board and have it proven: a Sealed socket. HandshakeError, OSError."""
    sock.settimeout(PATIENCE_S)
    said = _exactly(sock, len(GREETING) + NONCE)
    if not said.startswith(GREETING):
        raise HandshakeError("what answers there is not this project's host/server.py of the same version")
    theirs, ours = said[len(GREETING) :], secrets.token_bytes(NONCE)
    nonces = theirs + ours
    sock.sendall(ours + _mac(key, b"laptop", nonces))
    try:
        proof = _exactly(sock, hashlib.sha256().digest_size)
    except ConnectionError:
        proof = b""
    if not hmac.compare_digest(proof, _mac(key, b"board", nonces)):
        raise HandshakeError("it has another key: copy the same key file to both machines")
    return Sealed(sock, _mac(key, b"session", nonces), b"laptop", b"board")


def _mac(key, role, data):
    return hmac.new(key, role + b"\0" + data, hashlib.sha256).digest()


def _exactly(sock, count):
    """`count` bytes of a socket; ConnectionError when they do not come in time, or it is closed."""
    parts = []
    while count:
        try:
            part = sock.recv(min(count, 1 << 16))
        except TimeoutError:
            raise ConnectionError(f"no answer within {PATIENCE_S:g} s") from None
        if not part:
            raise ConnectionError("the connection was closed")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class Sealed:
    """A socket whose messages carry a tag; what RPyC takes for a socket (send, recv, fileno, shutdown, close)."""

    def __init__(self, sock, session, me, peer):
        self._sock, self._buffer = sock, b""
        self._keys = _mac(session, me, b""), _mac(session, peer, b"")  # of what is sent, of what is received
        self._counts = [0, 0]

    def send(self, data):
        """Send all of `data` as one message, and say how much that is. ConnectionError when it does not go."""
        data = bytes(data[:MAX_MESSAGE])
        try:
            self._sock.sendall(_LENGTH.pack(len(data)) + data + self._tag(0, data))
        except TimeoutError:
            raise ConnectionError(f"nothing was taken for {PATIENCE_S:g} s") from None
        return len(data)

    def recv(self, count):
        """At most `count` bytes of what was sent. ConnectionError for a message that was changed or does not end.

        A message is read whole, so that nothing waits here while the socket itself has nothing to read.
        """
        if not self._buffer:
            (length,) = _LENGTH.unpack(_exactly(self._sock, _LENGTH.size))
            if length > MAX_MESSAGE:
                raise ConnectionError(f"a message of {length} bytes, expected at most {MAX_MESSAGE}")
            data, tag = _exactly(self._sock, length), _exactly(self._sock, TAG)
            if not hmac.compare_digest(tag, self._tag(1, data)):
                raise ConnectionError("a message was changed on its way")
            self._buffer = data
        part, self._buffer = self._buffer[:count], self._buffer[count:]
        return part

    def _tag(self, direction, data):
        count = self._counts[direction]
        self._counts[direction] += 1
        return _mac(self._keys[direction], str(count).encode(), data)[:TAG]

    def fileno(self):
        return self._sock.fileno()

    def getsockname(self):
        return self._sock.getsockname()

    def getpeername(self):
        return self._sock.getpeername()

    def shutdown(self, how):
        self._sock.shutdown(how)

    def close(self):
        self._sock.close()


# ------------------------------------------------------------------------------------------------------------- arrays
def pack(array):
    """An array as (dtype, shape, bytes), which needs no pickle; None stays None."""
    if array is None:
        return None
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.dtype.str, array.shape, array.tobytes()


def unpack(packed, dtypes, dimensions):
    """The read-only array that was packed, of one of `dtypes` ("<i4") and `dimensions`. ValueError otherwise."""
    if type(packed) is not tuple or len(packed) != 3:
        raise ValueError(f"a {type(packed).__name__}, expected an array")
    dtype, shape, data = packed
    if dtype not in dtypes or type(data) is not bytes or type(shape) is not tuple or len(shape) != dimensions:
        raise ValueError(f"an array of {dtype!r} {shape!r}, expected {' or '.join(dtypes)} in {dimensions} dimensions")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of shape {shape!r}")
    expected = np.dtype(dtype).itemsize
    for size in shape:
        expected *= size
    if expected != len(data):
        raise ValueError(f"{len(data)} bytes for an array of {dtype} {shape}, expected {expected}")
    return np.frombuffer(data, dtype).reshape(shape)
