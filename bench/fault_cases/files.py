"""Files that cannot be written, or are no files: devices, FIFOs, links, folders, full disks; see __init__.py.

Most cases run host/run.py on a small package, with one output wrong.
"""

import os
import stat
from functools import partial

from bench.fault_cases import Case, Outcome
from bench.fault_cases.process import DEADLINE_S, Scene


def written(option, path, *left, shell=""):
    """A run whose output goes to `path` in the scene's folder, and that leaves the files `left`."""
    with Scene() as scene:
        (scene.folder / "a folder").mkdir()
        (scene.folder / "kept").write_text("kept", encoding="utf-8")
        said = scene.tiny_run(option, path, shell=shell)
        kept = (scene.folder / "kept").read_text(encoding="utf-8") == "kept"
        found = scene.outcome(said, "a folder", "kept", *left)
        return Outcome(found.sentence, found.exit_code, found.leaked + (not kept), found.next_run_fine)


def both(bad, limit=""):
    """One output that fails at the end beside one that is fine: the table is printed, the fine one is there."""
    with Scene() as scene:
        said = scene.tiny_run("--json", bad, "--picture", "ok.svg", shell=limit)
        found = scene.outcome(said, *([] if limit else ["ok.svg"]))
        lost = "accuracy" not in said.out
        return Outcome(found.sentence, found.exit_code, found.leaked + lost, found.next_run_fine)


def device():
    """/dev/null, which a file's rename would take away where the user is root."""
    with Scene() as scene:
        before = os.stat("/dev/null")
        said = scene.tiny_run("--json", "/dev/null", "--trace", "", "--picture", "/dev/null")
        after = os.stat("/dev/null")
        lost = not stat.S_ISCHR(after.st_mode) or before.st_ino != after.st_ino
        found = scene.outcome(said)
        return Outcome(found.sentence, found.exit_code, found.leaked + lost, found.next_run_fine)


def fifo(shell):
    """A FIFO, whose other end `shell` plays; it stays one."""
    with Scene() as scene:
        os.mkfifo(scene.folder / "fifo")
        said = scene.tiny_run("--json", "fifo", shell=shell)
        lost = not stat.S_ISFIFO(os.stat(scene.folder / "fifo").st_mode)
        found = scene.outcome(said, *[name for name in ("fifo", "copy") if name in scene.left()])
        got = "copy" not in shell or (scene.folder / "copy").read_text(encoding="utf-8").endswith("}\n")
        return Outcome(found.sentence, found.exit_code, found.leaked + lost + (not got), found.next_run_fine)


def link(target, *left):
    """A symbolic link: it is followed, and stays."""
    with Scene() as scene:
        (scene.folder / "link").symlink_to(target)
        said = scene.tiny_run("--json", "link")
        lost = not (scene.folder / "link").is_symlink()
        found = scene.outcome(said, "link", *left)
        return Outcome(found.sentence, found.exit_code, found.leaked + lost, found.next_run_fine)


def command(*argv, left=(), shell=""):
    """Another command, before it begins its work."""
    with Scene() as scene:
        (scene.folder / "kept").write_text("kept", encoding="utf-8")
        said = scene.run(*argv, shell=shell)
        return scene.outcome(said, "kept", *left)


def over_the_package(option):
    """An output that is the package itself, which stays as it is."""
    with Scene() as scene:
        before = (scene.folder / "tiny.npz").read_bytes()
        said = scene.tiny_run(option, "tiny.npz")
        lost = (scene.folder / "tiny.npz").read_bytes() != before
        found = scene.outcome(said)
        return Outcome(found.sentence, found.exit_code, found.leaked + lost, found.next_run_fine)


METERS = ("-m", "host.meters")
SWEEP = ("host/sweep.py", "--package", "tiny.npz", "--backend", "golden", "--images", "3", "--budgets", "none")
_ENDS = {
    "a folder that is not there": partial(written, "--json", "no/a.json"),
    "a folder in place of a file": partial(written, "--json", "a folder"),
    "a file in place of a folder": partial(written, "--json", "kept/a.json"),
    "a folder that nobody can write": partial(written, "--json", "/proc/a.json"),
    "a picture of another format": partial(written, "--picture", "a.png"),
    "a name that is too long": partial(written, "--json", "x" * 300),
    "a descriptor that is not open": partial(written, "--json", "/dev/fd/91"),
    "a link into a folder that is not there": partial(link, "no/a.json"),
    "a link to itself": partial(link, "link"),
    "a disk that is full at the end": partial(both, "/dev/full"),
    "a file that may not grow": partial(both, "a.json", limit='ulimit -f 1; "$@"'),
    "standard output on a full disk": partial(written, "--trace", "", shell='"$@" > /dev/full'),
    "standard output that was closed": partial(written, "--trace", "", shell='set -o pipefail; "$@" | sleep 0'),
    "a reader that goes away": partial(fifo, 'sleep 0 < fifo & "$@"'),
    "the package itself": partial(over_the_package, "--json"),
    "two outputs in one file": partial(written, "--json", "a.svg", shell='"$@" --picture a.svg'),
    "a sweep into a file": partial(command, *SWEEP, "--out", "kept"),
    "a sweep into a folder that nobody can write": partial(command, *SWEEP, "--out", "/proc/sweep"),
    "a recording into no folder": partial(command, *METERS, "record", "serial:/dev/null", "--csv", "no/t.csv"),
    "a calibration into no folder": partial(command, *METERS, "calibrate", "serial:/dev/null", "-o", "no/c.json"),
    "coefficients into no folder": partial(command, "-m", "host.energy.fit", "kept", "-o", "no/e.json"),
    "coefficients over a measured run": partial(command, "-m", "host.energy.fit", "kept", "-o", "kept"),
    "vectors into a file": partial(command, "-m", "bitstreams.vectors", "--out", "kept"),
    "rows into no folder": partial(command, "-m", "bench", "rtl", "--json", "no/rows.jsonl"),
    "a report into a file": partial(command, "-m", "bitstreams.report", "--build", "kept"),
}
_RECOVERS = {
    "a device": device,
    "a FIFO": partial(fifo, 'cat fifo > copy & "$@"; wait'),
    "a process substitution": partial(written, "--trace", "", shell='"$@" --json >(cat > /dev/null)'),
    "standard output by its name": partial(written, "--json", "/dev/stdout"),
    "a link to a file": partial(link, "real.json", "real.json"),
    "a file that is there": partial(written, "--json", "a.json", "a.json", shell='"$@" && "$@"'),
}
CASES = (
    *(Case(name, run, DEADLINE_S) for name, run in _ENDS.items()),
    *(Case(name, run, DEADLINE_S, recovers=True) for name, run in _RECOVERS.items()),
)
