"""Files that a command writes: opened and tested before the work, written after it, whole or not at all.

    with Outputs({"--json": "a.json", "--picture": "a.svg"}, inputs=["p.npz"]) as outputs:   # UserError before the work
        ...
        outputs.write({"--json": text, "--picture": svg})      # what can be written; OutputError names what cannot

    write("a.json", text)                                      # one file, at once
    made(folder, "--out")                                      # a folder for files, made and tested; usable: not made

A regular file appears whole: it is written beside its place and then renamed over what was there, which stays until
then; a symbolic link is followed. What is no regular file (a device, a FIFO, `>(…)`, /dev/stdout) is opened at once, as
a shell does it, and written in place.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from hls.command.entry import say
from hls.errors import UserError

LINKS = 40  # that the kernel follows
STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = re.compile(r"/(?:dev|proc/(\w+|thread-self))/fd/(\d+)")


class OutputError(UserError):
    """A file that cannot be written; what was there before is kept."""


class Output:
    """One file to write: opened and tested here, filled by `write`. OutputError."""

    def __init__(self, path, option=""):
        self.path, self._option = Path(path), option
        self._descriptor = -1  # of what is written in place
        self._target: Any = None  # the place of a regular file
        try:
            self._open()
        except OSError as error:
            raise self._error(error) from None

    @property
    def whole(self):
        """Whether it is a regular file, which appears whole."""
        return self._target is not None

    @property
    def place(self):
        """Where a regular file will stand, all links followed; None for what is written in place."""
        return self._target

    def write(self, content):
        """Write text, as UTF-8, or bytes. OutputError."""
        data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
        try:
            if self._target is not None:
                self._replace(data)
            else:
                self._fill(data)
        except OSError as error:
            raise self._error(error) from None

    def close(self):
        """Give back what is open."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self):
        own = _own_descriptor(self.path)
        if own is not None:
            if fcntl.fcntl(own, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise PermissionError(errno.EBADF, "it is open for reading alone")
            self._descriptor = os.dup(own)
            return
        try:
            mode = os.stat(self.path).st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder, expected a file")
        if stat.S_ISREG(mode):
            self._target = Path(os.path.realpath(self.path))
            self._try()
        else:
            self._descriptor = _open_in_place(self.path)

    def _try(self):
        """Write a byte beside the file's place, and take it away: folder, permissions and a full disk are known now."""
        folder = self._target.parent
        if not folder.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}: make it first")
        if self._target.exists() and not os.access(self._target, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
        self._beside(b"\n")
        self._partial.unlink()

    @property
    def _partial(self):
        return self._target.with_name(f".{self._target.name[:40]}.{os.getpid()}.partial")

    def _beside(self, data):
        """Write `data` into the partial file, to the disk."""
        try:
            with self._partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            self._partial.unlink(missing_ok=True)
            raise

    def _replace(self, data):
        self._beside(data)
        try:
            if self._target.exists():
                self._partial.chmod(stat.S_IMODE(self._target.stat().st_mode))
            os.replace(self._partial, self._target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            self._target.write_bytes(data)  # a mount of its own, as a container's single file
        finally:
            self._partial.unlink(missing_ok=True)

    def _fill(self, data):
        with contextlib.suppress(AttributeError, ValueError):
            sys.stdout.flush()  # what was printed before comes before
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _error(self, error):
        name = f"{self._option} {self.path}".strip()
        return OutputError(f"{name} cannot be written ({error.strerror or error}): give another file, or make room")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Outputs:
    """The files of a command, by their options (None and "" are left out). UserError for one that cannot be written,
    for two that are one file, and for one that is also read (`inputs`: paths)."""

    def __init__(self, paths, inputs=()):
        self._files = {}
        try:
            for option, path in paths.items():
                if path not in (None, ""):
                    self._files[option] = Output(path, option)
            self._check_apart(inputs)
        except BaseException:
            self.close()
            raise

    def __contains__(self, option):
        return option in self._files

    def __getitem__(self, option):
        return self._files[option]

    def write(self, contents):
        """Write `contents`, option → text or bytes, each that can be; an option without a file is left out.

        OutputError, after all of them, for those that cannot, with those that are there.
        """
        written, failed = [], []
        for option, content in contents.items():
            if option in self._files:
                try:
                    self._files[option].write(content)
                    written.append(str(self._files[option].path))
                except OutputError as error:
                    failed.append(str(error))
        if failed:
            raise OutputError("; ".join(failed) + (f"; written: {', '.join(written)}" if written else ""))

    def close(self):
        """Give back what is open."""
        for file in self._files.values():
            file.close()

    def _check_apart(self, inputs):
        """Nothing is written twice, nothing that is read is written over."""
        seen = {os.path.realpath(path): f"{path}, which is read" for path in inputs if path}
        for option, file in self._files.items():
            if file.whole and str(file.place) in seen:
                other = seen[str(file.place)]
                raise UserError(f"{option} {file.path} would be written over {other}: give another file")
            seen[str(file.place)] = f"what {option} writes"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def write(target, content):
    """Write text or bytes to a path, or to an Output that is open already. OutputError."""
    if isinstance(target, Output):
        target.write(content)
        return
    with Output(target) as output:
        output.write(content)


def made(folder, option=""):
    """The Path of a folder, made if needed, into which files can be written. UserError."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Output(folder / "a file").close()
    except FileExistsError:
        raise UserError(f"{option} {folder} is a file: give a folder".strip()) from None
    except (OSError, OutputError) as error:
        line = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{option} {folder} cannot be written into ({line}): give another folder".strip()) from None
    return folder


def usable(folder, option=""):
    """The Path of a folder that can be made or written into, which is left as it is. UserError."""
    folder = Path(folder)
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    made(there, option)
    return folder


def _own_descriptor(path):
    """The number of this process's descriptor that `path` names, links followed one by one; else None."""
    path = os.path.abspath(path)
    for _ in range(LINKS):
        found = DESCRIPTOR.fullmatch(path)
        if path in STREAMS:
            return STREAMS[path]
        if found and found[1] in (None, "self", "thread-self", str(os.getpid())):
            return int(found[2])
        if not os.path.islink(path):
            return None
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return None


def _open_in_place(path):
    """A descriptor of a device or FIFO. A FIFO waits for its reader, as in a shell, which is said."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
            raise
        say("waiting", f"for a reader of {path}")
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return descriptor
