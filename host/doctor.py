"""Say what is missing on this board or laptop, and what to do about it.

    python host/doctor.py                       # a board is recognised by its processor
    python host/doctor.py --board zedboard      # as a board, wherever it runs
    python host/doctor.py --meter serial:/dev/ttyUSB0 --data DIR

Each line is `ok`, `note` (something you may not need) or `MISSING`, with the remedy.

Exit codes: 0 nothing is missing; 1 something is; 2 bad input.
"""

import json
import platform
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

from hls.command.arguments import Parser
from hls.command.entry import guarded
from host import checks
from host.checks import MISSING, Finding

ROOT = Path(__file__).resolve().parents[1]
BOARD_MACHINE = "armv7l"


def main(argv=None):
    """Print the findings, and give the exit code."""
    arguments = _parser().parse_args(argv)
    return guarded("doctor", lambda: _examined(arguments), "interrupted")


def _examined(arguments):
    if arguments.board and arguments.board not in _boards():
        print(f"doctor: no board {arguments.board!r}: expected one of {', '.join(_boards())}", file=sys.stderr)
        return 2
    on_board = bool(arguments.board) or platform.machine() == BOARD_MACHINE
    findings = examine(on_board, arguments.board or "zedboard", arguments.meter, arguments.data)
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print(f"{'board' if on_board else 'laptop'}: {platform.platform()}")
        for finding in findings:
            print(f"{finding.state:<8} {finding.name:<18} {finding.found}")
            if finding.remedy:
                print(f"{'':<8} {'':<18} → {finding.remedy}")
    missing = sum(finding.state == MISSING for finding in findings)
    if not arguments.json:
        print(f"{missing} missing" if missing else "nothing is missing")
    return 1 if missing else 0


def _parser():
    parser = Parser(
        prog="host/doctor.py",
        description=__doc__.splitlines()[0],
        epilog=f"Exit codes:{__doc__.split('Exit codes:')[1]}",
    )
    add = parser.add_argument
    add("--board", metavar="NAME", help="examine this machine as that board (default: by its processor)")
    add("--meter", metavar="M", help="also try this power meter, as host/run.py takes it")
    add("--data", metavar="D", help="also look for the CIFAR-10 archive there")
    add("--json", action="store_true", help="the findings as JSON")
    return parser


def _boards():
    """Names of the boards in bitstreams/boards.json."""
    try:
        return sorted(json.loads((ROOT / "bitstreams" / "boards.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def examine(on_board, board, meter=None, data=None):
    """All findings, each check on its own: one that fails in an unforeseen way is itself a finding."""
    common = (checks.check_python, checks.check_numpy, checks.check_compiler, checks.check_packages)
    common += (checks.check_engine, checks.check_build, checks.check_sample, checks.check_pictures)
    common += (checks.check_disk, checks.check_memory)
    common += (checks.check_remote, checks.check_meter_ports)
    if on_board:
        common += (checks.check_pynq, checks.check_root, checks.check_cma)
    findings = [_safely(check, on_board) for check in common]
    findings.append(_safely(checks.check_bitstream, on_board, board))
    findings.append(_safely(checks.check_data, data))
    if meter:
        findings.append(_safely(checks.check_meter, meter))
    return findings


def _safely(check, *arguments):
    try:
        return check(*arguments)
    except Exception as error:
        name = check.__name__[len("check_") :].replace("_", " ")
        line = " ".join(str(error).split())[:160]
        return Finding(name, MISSING, f"cannot be examined: {type(error).__name__} {line}", "see the lines above first")


if __name__ == "__main__":
    sys.exit(main())
