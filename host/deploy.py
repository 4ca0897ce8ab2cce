"""Copy what a board needs to it over ssh, and test it there.

    make deploy HOST=xilinx@192.168.2.99 BOARD=zedboard
    python host/deploy.py xilinx@192.168.2.99 --board zedboard

Needs ssh and tar on both sides. The copy goes into a new folder, which takes the old one's place only when it is whole.
The hls/ and packages that go along are those of the bitstream's engine: for one of the board's other points this runs
again with that point's (bitstreams/points.py). The test runs the same images there and here: all figures of both must
be equal. Where it fails, host/doctor.py is asked.

Exit codes: 0 copied and tested; 1 copied, but the test failed; 2 bad input or not copied, with one line that says why.
"""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.command import places
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from hls.errors import UserError
from host import run
from host.backend import BackendMissing
from host.board import catalog, overlay
from host.remote import ssh

ROOT = Path(__file__).resolve().parents[1]
# What a board needs, of the repository and of the engine; the rest is for training, building and testing.
PATTERNS = ("host/**/*", "data/**/*", "requirements/*", "bitstreams/boards.json", "bitstreams/overlay.json", "LICENSE")
OF_ENGINE = ("hls/**/*", "packages/*.npz")
LEFT_OUT = ("__pycache__", ".partial", "~")
COPY_S, TEST_S = 300, 600
EQUAL = (
    "accuracy",
    "budget",
    "flops",
    "cycles",
    "exits",
    "layers_run",
    "channels_run",
    "weight_bytes",
    "reasons",
    "gates",
)


class Differs(UserError):
    """The board has the files, and its results are not those of this machine, or none."""


TEST_CODES = {Differs: 1, KeyboardInterrupt: 1}


def main(argv=None):
    """Copy, test, and give the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(argv)
    code = guarded("deploy", lambda: _copied(arguments, argv), "interrupted: the board keeps what it had")
    return code or guarded("deploy", lambda: _tested(arguments), "copied, but the test was interrupted", TEST_CODES)


def _copied(arguments, argv):
    try:
        check(arguments)
    except overlay.OtherPoint as other:
        if places.ENGINE != ROOT:
            raise
        _again(other.point, arguments.board, argv)
    copy(arguments)
    return 0


def _again(point, board, argv):
    """Become this program with the engine of another point; does not return."""
    print(f"deploy: the bitstream is {board}'s point {point}: its hls/ and packages go along", flush=True)
    command = [sys.executable, "-m", "bitstreams.points", board, point, "host.deploy", *argv]
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"})


def _tested(arguments):
    try:
        test(arguments)
    except (UserError, OSError) as error:
        raise Differs(f"copied, but the test failed: {error}") from None
    print(f"deploy: {arguments.host}:{arguments.folder} is ready: sudo -i, then python3 host/run.py --budget 74M there")
    return 0


def _parser():
    parser = Parser(
        prog="host/deploy.py",
        description=__doc__.splitlines()[0],
        epilog=f"Exit codes:{__doc__.split('Exit codes:')[1]}",
    )
    add = parser.add_argument
    add("host", help="where ssh goes: user@address, or a name of ~/.ssh/config")
    add("--board", default=catalog.DEFAULT, help="which bitstream goes along (default: %(default)s)")
    add("--folder", default=ssh.DEFAULT_FOLDER, help="folder there, from the user's home (default: %(default)s)")
    add("--backend", default="pynq", help="what the test runs on there (default: %(default)s)")
    add("--package", default="fashion-mnist", help="package of the test (default: %(default)s)")
    add("--budget", default="74M", help="budget of the test (default: %(default)s)")
    add("--images", type=Whole(1), default=20, help="images of the test (default: %(default)s)")
    return parser


def check(arguments):
    """Refuse what cannot work before the board is touched. UserError."""
    if not ssh.HOST.fullmatch(arguments.host):
        raise UserError(f"host {arguments.host!r} is not understood: expected user@address")
    if not ssh.safe(arguments.folder):
        found = f"--folder {arguments.folder!r}"
        raise UserError(f"{found} is not understood: expected a name below the user's home, like ddi")
    catalog.read(arguments.board)
    try:
        overlay.find(overlay.BITSTREAMS / arguments.board, arguments.board)
    except BackendMissing as error:
        if arguments.backend == "pynq":
            raise UserError(f"{error} (--backend golden copies and tests without one)") from None


# --------------------------------------------------------------------------------------------------------------- copy
def files(board):
    """Name there → path here of what a board needs, in order."""
    patterns = [(ROOT, (*PATTERNS, f"bitstreams/{board}/*")), (places.ENGINE, OF_ENGINE)]
    found = {path.relative_to(top): path for top, each in patterns for pattern in each for path in top.glob(pattern)}
    kept = ((str(name), path) for name, path in sorted(found.items()) if path.is_file())
    return {name: path for name, path in kept if not any(part in name for part in LEFT_OUT)}


def archive(board):
    """The bytes of a .tar.gz of these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6) as tar:
        for name, path in files(board).items():
            tar.add(path, name)
    return stream.getvalue()


def copy(arguments):
    """Put the files into a new folder on the board, then let it take the old one's place."""
    data = archive(arguments.board)
    print(f"deploy: {len(data) / 1e6:.1f} MB to {arguments.host}:{arguments.folder}", flush=True)
    new, old, folder = (shlex.quote(f"{arguments.folder}{end}") for end in (".new", ".old", ""))
    script = f"set -e; rm -rf {new}; mkdir -p {new}; tar -xzf - -C {new}; rm -rf {old}; "
    script += f"if [ -e {folder} ]; then mv {folder} {old}; fi; mv {new} {folder}"
    result = _ssh(arguments.host, script, COPY_S, stdin=data)
    if result.returncode:
        raise UserError(f"copying to {arguments.host} failed ({_last(result)}); the board keeps what it had")


def _ssh(host, script, seconds, stdin=b""):
    """The finished ssh process of a script for the board's shell. UserError when it takes longer than that."""
    try:
        return subprocess.run([*ssh.SSH, host, script], input=stdin, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise UserError(ssh.NO_SSH) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{host} did not finish within {seconds} s: is it on, and is its network up?") from None


def _last(result):
    """The last line that a process said on standard error, or its exit status."""
    return ssh.last_line(result.stderr) or f"exit status {result.returncode}"


# --------------------------------------------------------------------------------------------------------------- test
def test(arguments):
    """host/doctor.py there, then the same run there and here. UserError names the first thing that is wrong."""
    options = ["--package", arguments.package, "--budget", arguments.budget, "--images", str(arguments.images)]
    options += ["--board", arguments.board]
    found = _run_there(arguments, ["host/run.py", *options, "--backend", arguments.backend, "--json", "-"])
    expected = _run_here([*options, "--backend", "auto", "--json", "-"])
    different = [name for name in EQUAL if found.get(name) != expected.get(name)]
    if different:
        raise UserError(
            f"{', '.join(different)} differ between {found.get('backend')} there and {expected['backend']} here: "
            "python host/doctor.py there, and report it"
        )
    print(f"deploy: {arguments.images} images on {found['engine']['title']}: equal to {expected['engine']['title']}")


def _run_there(arguments, command):
    """The JSON of host/run.py on the board; where it fails, what host/doctor.py finds missing there."""
    doctor = ["host/doctor.py", "--board", arguments.board, "--json"] if arguments.backend == "pynq" else []
    result = _ssh(arguments.host, ssh.script(arguments.folder, command), TEST_S)
    if result.returncode == 0:
        try:
            return json.loads(result.stdout)
        except ValueError:
            raise UserError("the board answered something else than JSON: does its login print a text?") from None
    text = _last(result)
    if ssh.remedy(text) != text:
        raise UserError(ssh.remedy(text))
    missing = _missing(_ssh(arguments.host, ssh.script(arguments.folder, doctor), TEST_S)) if doctor else ""
    raise UserError(f"{text}{missing}")


def _missing(result):
    """What the doctor found missing, as the end of a sentence."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = [item for item in json.loads(result.stdout) if item["state"] == "MISSING"]
        return "".join(f"; {item['name']}: {item['found']}" for item in found[:3])
    return ""


def _run_here(options):
    """The same run on the best backend of this machine, as a dictionary."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = run.main(options)
    if code:
        raise UserError("the same run fails on this machine: see above")
    return json.loads(output.getvalue())


if __name__ == "__main__":
    sys.exit(main())
