"""What is around a command: locale, user, folders that cannot be written, damaged builds; see __init__.py."""

import functools
import shutil
import subprocess
import tempfile
from functools import partial

from bench.fault_cases import Case, Outcome
from bench.fault_cases.process import DEADLINE_S, RUN, Scene
from hls import cosim

LONG_S = 300.0  # of a case that compiles the engine
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
HOMELESS = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"))
# What stands before a command's start: a user that the system does not know, a checkout that cannot be written.
UNKNOWN = """
import pwd, runpy, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
"""
READ_ONLY = """
from pathlib import Path
from hls import cosim
cosim.BUILD = Path("/proc/build")
"""
START = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# The engine compiles in a moment, once for all cases, and runs slowly.
QUICK = """#!/bin/sh
case "$1" in --version) exec g++ --version;; esac
for target; do :; done
made="{kept}/$(printf '%s ' "$@" | sed 's/-o .*//' | cksum | tr -d ' ')"
if [ -e "$made" ]; then cp "$made" "$target"; else g++ "$@" -O0 && cp "$target" "$made"; fi
"""
NOTHING = '#!/bin/sh\ncase "$1" in --version) echo none;; esac\nexit 0\n'


def in_locale(changes, *argv):
    """A command whose output has letters that the locale does not."""
    with Scene() as scene:
        return scene.outcome(scene.run(*argv, changes=changes))


def latin_1():
    """A run in a locale of ISO-8859-1, made here; that of C, where the system has nothing to make it of."""
    with Scene() as scene:
        folder = scene.folder / "locales"
        folder.mkdir()
        maker, changes = shutil.which("localedef"), dict(ASCII)
        command = [maker or "false", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US")]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            changes |= {"LOCPATH": str(folder), "LC_ALL": "en_US"}
        said = scene.tiny_run("--json", "a.json", "--picture", "a.svg", changes=changes)
        shutil.rmtree(folder)
        return scene.outcome(said, "a.json", "a.svg")


def foreign_name():
    """A file's name in another encoding than the system's."""
    with Scene() as scene:
        said = scene.tiny_run("--json", b"caf\xe9.json".decode("utf-8", "surrogateescape"))
        left = [name.encode("utf-8", "surrogateescape") for name in scene.left()]
        return Outcome(said.line, said.code, int(left != [b"caf\xe9.json"]), scene.fine())


def nobody(*argv):
    """A command of a user without a home."""
    with Scene() as scene:
        said = scene.run("-c", UNKNOWN + START, *argv, changes=HOMELESS)
        return scene.outcome(said)


def compiler(scene, text):
    """A C++ compiler of its own in the scene; the environment that names it, with a cache there."""
    path = scene.folder / "compiler"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return {"CXX": str(path), "XDG_CACHE_HOME": str(scene.folder / "cache")}


@functools.cache
def _kept():
    """A folder of this process for what QUICK compiled."""
    return tempfile.TemporaryDirectory()


def quick(scene):
    """As `compiler`, one that gives an engine each time and compiles it once."""
    return compiler(scene, QUICK.format(kept=_kept().name))


def engine(scene, changes, before=READ_ONLY):
    """Said of a run on the C++ engine."""
    argv = [*RUN, scene.package, "--backend", "cosim"]
    return scene.run("-c", before + START, *argv, changes=changes)


def read_only():
    """A checkout that cannot be written, with no engine in it: it is built in the user's cache, once."""
    with Scene() as scene:
        changes = quick(scene)
        said = engine(scene, changes)
        built = sorted((scene.folder / "cache" / "ddi-fpga" / "build").glob("cosim-*.so"))
        return Outcome(said.line, said.code, abs(len(built) - 2), engine(scene, changes).code == 0)


def damaged(damage):
    """An engine in the cache that `damage(path)` has spoilt: it is built anew, and the process lives."""
    with Scene() as scene:
        changes = quick(scene)
        engine(scene, changes)
        for path in (scene.folder / "cache" / "ddi-fpga" / "build").glob("cosim-*.so"):
            damage(path)
        said = engine(scene, changes)
        whole = all(map(cosim.is_whole, (scene.folder / "cache" / "ddi-fpga" / "build").glob("cosim-*.so")))
        return Outcome(said.line, said.code, int(not whole), engine(scene, changes).code == 0)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path):
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def without_its_digest(path):
    path.with_name(f"{path.name}.sha256").unlink()


def no_place():
    """Nowhere to build: one line that says what to set, from a run and from the doctor."""
    with Scene() as scene:
        changes = {**quick(scene), "XDG_CACHE_HOME": "/proc/cache", "TMPDIR": "/proc"}
        before = READ_ONLY + "import tempfile; tempfile.gettempdir = lambda: '/proc'\n"
        said = engine(scene, changes, before)
        doctor = scene.run("-c", before + START, "host/doctor.py", changes=changes)
        unsaid = "MISSING  engine build" not in doctor.out
        return Outcome(said.line, said.code, int(unsaid), scene.fine())


def writes_nothing():
    """A compiler that ends as if all were well, and has written nothing."""
    with Scene() as scene:
        changes = compiler(scene, NOTHING)
        said = engine(scene, changes)
        left = list((scene.folder / "cache").rglob("cosim-*"))
        return Outcome(said.line, said.code, len(left), scene.fine())


HELP = (("host/run.py", "--help"), ("-m", "host.meters", "--help"), ("-m", "bitstreams.vitis.synth", "--help"))
CASES = (
    Case("a locale of Latin-1", latin_1, DEADLINE_S, recovers=True),
    Case("a locale without UTF-8", partial(in_locale, ASCII, "host/run.py", "--images", "3"), LONG_S, recovers=True),
    *(
        Case(f"{argv[-2]} --help without UTF-8", partial(in_locale, ASCII, *argv), DEADLINE_S, recovers=True)
        for argv in HELP
    ),
    Case("a terminal of Latin-1", partial(in_locale, {"PYTHONIOENCODING": "iso8859-1"}, *RUN, "fashion-mnist"),
         LONG_S, recovers=True),
    Case("a name in another encoding", foreign_name, DEADLINE_S, recovers=True),
    Case("no home: a run", partial(nobody, *RUN, "tiny.npz"), DEADLINE_S, recovers=True),
    Case("no home: a download", partial(nobody, *RUN, "cifar10"), DEADLINE_S),
    Case("no home: the shared key", partial(nobody, "host/server.py", "--new-key"), DEADLINE_S),
    Case("a read-only checkout without an engine", read_only, LONG_S, recovers=True),
    Case("a built engine cut short", partial(damaged, cut), LONG_S, recovers=True),
    Case("a built engine of zeros", partial(damaged, zeroed), LONG_S, recovers=True),
    Case("a built engine without its digest", partial(damaged, without_its_digest), LONG_S, recovers=True),
    Case("nowhere to build", no_place, LONG_S),
    Case("a compiler that writes nothing", writes_nothing, DEADLINE_S),
)  # fmt: skip
