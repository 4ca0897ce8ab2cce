"""Folders of this user: where things are kept between runs, also where there is no home and the checkout is read-only.

cache("cifar10")                             # Path; UserError where there is no place
build("build")                               # of engines that were compiled: the checkout's, or the user's
"""

import os
import tempfile
from pathlib import Path

from hls.errors import UserError

NAME = "ddi-fpga"
ENGINE = Path(__file__).resolve().parents[2]  # has this hls/, and packages/ that are priced for it: a point's, its own


def cache(*names):
    """A path below the user's folder of what can be fetched or made again: $XDG_CACHE_HOME, or ~/.cache. UserError."""
    return _base("XDG_CACHE_HOME", ".cache") / NAME / Path(*names)


def home():
    """The user's home. UserError where neither $HOME nor the system's list of users has one."""
    try:
        return Path.home()
    except (RuntimeError, KeyError):
        raise UserError(
            f"user {os.getuid()} has no home folder: set HOME, or XDG_CACHE_HOME and XDG_CONFIG_HOME, to a folder"
        ) from None


def build(wanted):
    """A folder for compiled engines, made and writable: `wanted`, or else one in the user's cache, or else one of their
    own among temporary files. UserError where none can be written."""
    tried = []
    for place in (lambda: Path(wanted), lambda: cache("build"), _private):
        try:
            folder = place()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except (OSError, UserError) as error:
            tried.append(" ".join(str(error).split()))
    raise UserError(f"no folder for the compiled engine can be written ({'; '.join(tried)}): set XDG_CACHE_HOME")


def _private():
    """A folder that only this user can write: libraries are loaded from it. UserError when another one made it."""
    folder = Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022 or folder.is_symlink():
        raise UserError(f"{folder} is not this user's own")
    return folder


def _base(variable, name):
    """The folder in an environment variable, else `name` in the home; a relative one counts as unset (XDG)."""
    given = os.environ.get(variable, "")
    return Path(given) if os.path.isabs(given) else home() / name
