"""Builds of changed or extended copies of the engine, for counting and for fuzzing; the originals stay as they are.

path = build("trips", [cosim.compiler(), "-O2", …], {"trips.cpp": b"…", **cosim.sources()}, "trips.cpp")
"""

import hashlib
import tempfile
from pathlib import Path

from hls import cosim
from hls.command import tools


def build(name, command, sources, main):
    """Path in build/ of what `command` makes of the file `main` of `sources`, made only if it is not there yet.

    Its name holds a digest of the command, the compiler's version and the sources. CosimError if it does not compile.
    """
    version = tools.run([command[0], "--version"]).stdout
    digest = hashlib.sha256(repr((command, version, sorted(sources.items()), main)).encode()).hexdigest()[:16]
    return cosim.built(f"{name}-{digest}", lambda target: _compile(command, sources, main, target))


def _compile(command, sources, main, target):
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for each, text in sources.items():
            (Path(folder) / each).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / each).write_bytes(text)
        cosim.compile_whole(command, Path(folder) / main, main, target)
