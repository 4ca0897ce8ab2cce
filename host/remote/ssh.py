"""A board over ssh: how it is called, what is run there, and why it failed. Authentication, encryption, limits of
connections and deadlines of logins are those of OpenSSH, on both sides.

    pipe = connect("xilinx@192.168.2.99", ["host/server.py", "--board", "zedboard"])   # UserError says why not
    pipe.read, pipe.write, pipe.close(), pipe.said()                     # its standard streams; its last words
"""

import contextlib
import re
import select
import shlex
import subprocess
import tempfile
import threading
import time
from typing import Any

from hls.errors import UserError

OPTIONS = ("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
SSH = ("ssh", *OPTIONS)
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(@[A-Za-z0-9\[][A-Za-z0-9_.:\]%-]*)?")
FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
DEFAULT_FOLDER = "ddi"
PROFILES = "for f in pynq_venv xrt_setup boardname; do [ -f /etc/profile.d/$f.sh ] && . /etc/profile.d/$f.sh; done"
PROTOCOL = 3
GREETING = f"ddi-board {PROTOCOL}\n".encode()  # what the board's program says first
GREETED = re.compile(rb"ddi-board (\d{1,9})\n\Z")
GREETING_S = 90.0  # for a login, and for the bitstream to be loaded
CHATTER = 64  # bytes of what a login prints before it that are kept
END_S = 2.0  # for ssh to end when its streams are closed
NO_SSH = "no ssh on this machine: install it (apt-get install openssh-client)"
REMEDIES = (  # what ssh, sudo or the board's shell says → what to do
    (
        ("a password is required", "a terminal is required"),
        "sudo asks for a password there: see docs/board.md, `Once: sudo without a password`",
    ),
    (("Permission denied",), "ssh asks for a password: ssh-copy-id, once"),
    (("Host key verification failed",), "its key is new or has changed: call it once by hand, ssh HOST"),
    (("Could not resolve", "Connection refused", "timed out", "No route"), "is it on, and is this its address?"),
    (("No such file or directory", "can't cd to"), "nothing of ours is there: make deploy HOST=… BOARD=…"),
)


def script(folder, command):
    """A script for the board's shell: `python3 command` as root, with PYNQ's environment where there is one.

    In the C locale: what sudo says is looked at.
    """
    inner = f"{PROFILES}; cd {shlex.quote(folder)} && exec python3 {shlex.join(command)}"
    as_root = f'cd && exec sudo -n env HOME="$HOME" bash -c {shlex.quote("cd; " + inner)}'
    return (
        f'export LC_ALL=C; if [ "$(id -u)" = 0 ]; then exec bash -c {shlex.quote("cd; " + inner)}; else {as_root}; fi'
    )


def address(text):
    """(host, port or "", folder) of [user@]host[:port][/folder]. UserError naming what is wrong."""
    host, slash, folder = text.partition("/")
    host, colon, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
    good = not colon or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    if not (good and HOST.fullmatch(host.replace("[", "").replace("]", "")) and safe(folder, optional=not slash)):
        raise UserError(f"board {text!r} is not understood: expected [user@]host[:port][/folder], as ssh takes a host")
    return host.replace("[", "").replace("]", ""), port, folder or DEFAULT_FOLDER


def safe(folder, optional=False):
    """Whether `folder` is a plain name below the user's home."""
    if not folder:
        return optional
    return bool(FOLDER.fullmatch(folder)) and ".." not in folder.split("/") and not folder.endswith("/")


def remedy(text):
    """`text`, which a failed ssh said last, with what to do where that is known."""
    return next((f"{text}: {what}" for words, what in REMEDIES if any(word in text for word in words)), text)


def last_line(data):
    """The last line of what a program said (bytes) on standard error, or ""."""
    lines = [line for line in data.decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:300] if lines else ""


def connect(text, command, patience_s=GREETING_S):
    """The Pipe of `python3 command` on the board `text`, once it has greeted. UserError says why it does not."""
    host, port, folder = address(text)
    argv = [*SSH, "-o", "BatchMode=yes", *(["-p", port] if port else []), "--", host, script(folder, command)]
    pipe = Pipe(argv)
    try:
        pipe.await_greeting(patience_s)
    except BaseException:
        pipe.close()
        raise
    return pipe


class Pipe:
    """A program and its standard streams, `read` and `write`; it does not get this terminal's Ctrl-C."""

    def __init__(self, argv):
        self._said = tempfile.TemporaryFile()  # noqa: SIM115, until close()
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._said}
        try:
            self._process = subprocess.Popen(argv, start_new_session=True, bufsize=0, **streams)
        except FileNotFoundError:
            self._said.close()
            raise UserError(NO_SSH) from None
        self.read: Any = self._process.stdout
        self.write: Any = self._process.stdin

    def await_greeting(self, patience_s):
        """Read up to the greeting; what a login prints before it is let go. UserError when it does not come."""
        seen, end_s = b"", time.monotonic() + patience_s
        while not (found := GREETED.search(seen)):
            left = end_s - time.monotonic()
            if left <= 0 or not select.select([self.read], [], [], left)[0]:
                raise UserError(f"it did not greet within {patience_s:g} s: is its login or its board stuck?")
            byte = self.read.read(1)  # one by one: what follows is RPyC's
            if not byte:
                raise UserError(self.failure())
            seen = (seen + byte)[-CHATTER:]
        if int(found[1]) != PROTOCOL:
            raise UserError(f"it has protocol {int(found[1])}, this is {PROTOCOL}: deploy this version there")

    @contextlib.contextmanager
    def within(self, seconds):
        """End the program when the body takes longer than that, which is then a UserError."""
        late = threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), self.kill()))
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if late.is_set():
                raise UserError(f"no answer within {seconds:.1f} s") from None
            raise
        finally:
            timer.cancel()
            timer.join()

    def kill(self):
        """End the program, whatever it does."""
        self._process.kill()

    def failure(self):
        """Why the program has ended: its last words, with what to do."""
        try:
            status = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return "it closed the connection"
        text = last_line(self.said()).removeprefix("server: ")
        return remedy(text) if text else f"ssh ended with status {status}"

    def said(self):
        """What it said on standard error, so far."""
        self._said.seek(0)
        return self._said.read()

    def close(self):
        """Close its streams, and end it if it does not end."""
        for stream in (self.write, self.read):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._said.close()
