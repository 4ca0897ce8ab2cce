"""From the C++ engine to a bitstream: Vitis HLS and Vivado in batch, one stage after the other, each one checked.

    make synth BOARD=zedboard [POINT=safe] [STAGE=csim|hls|cosim|impl|all] [CLOCK_MHZ=100] [DRY_RUN=1]
    python -m bitstreams.vitis.synth zedboard --stage all --clock-mhz 143      # the shipped engine

csim and cosim compare the C++ and the RTL with the golden vectors of a real package. What is built goes to
bitstreams/BOARD/ (.bit, .hwh, build.json, reports), whole or not at all, in place of what was there; on the way all is
in build/synth/BOARD-POINT/.
Exit code 1: a stage failed or its result is not good enough; 2: no tools, or a wrong argument; 130: interrupted.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bitstreams import design, points, sources, vectors
from bitstreams.generate import FOLDER
from bitstreams.vitis import checks, commands, logs
from bitstreams.vitis.install import install
from bitstreams.vitis.tools import CLASSIC, GENERATIONS, VIVADO, Tool, Tools, ToolsMissing, choose, look
from hls import isa, record
from hls.command import tools as programs
from hls.command.arguments import Parser, Real, Whole
from hls.command.entry import guarded
from hls.command.outputs import made, usable, write
from hls.errors import UserError

ROOT = FOLDER.parent
BUILD = ROOT / "build" / "synth"
RESULTS = "results.json"
STAGES = (*commands.STAGES, "all")
CLOCK = Real(*design.CLOCK_RANGE)  # MHz
NEEDS = {"cosim": "hls", "impl": "hls"}
VENDOR = "-DDDI_VENDOR"  # queues and bursts are the vendor's library's (hls/src/shim.hpp)


INTERRUPTED = "interrupted; its tools were ended, and stages that were done before need not run again"


class StageFailed(UserError):
    """A stage that failed, or whose result is not good enough."""


CODES = {StageFailed: 1, KeyboardInterrupt: 130}


@dataclass(frozen=True)
class Job:
    """A build: its folder, the board's data, facts for the TCL, and what it simulates."""

    board: str
    point: points.Point | None  # the board's that this engine is
    folder: Path
    limits: dict
    facts: dict
    tools: Tools
    images: int
    modelled_cycles: int  # of the batch, by the golden model's counters
    digest: str  # of all that HLS reads
    accepted: tuple = ()  # ids of critical warnings that fail nothing

    @property
    def hls(self):
        return commands.hls_folder(self.tools.generation, self.folder)


def prepare(board, clock_mhz, tools, folder, jobs=None, accepted=()):
    """Write everything that the tools read into `folder`: sources, vectors, parameters; the Job. UserError."""
    design.check_path(folder, "folder")
    design.check_path(commands.FLOW, "this checkout's folder")
    made(folder, "--build")
    data, top = design.read(board), sources.read_top()
    facts = design.facts(board, clock_mhz or points.clock_mhz(board, data), widened=top.widened, board=data)
    package, images, start = vectors.batch()
    records = vectors.write(folder, package, images, start, top)
    flags = (f"{vectors.STANDARD} {VENDOR}", f"{vectors.STANDARD} {vectors.CHIP} {VENDOR} -I{folder}")
    values = commands.parameters(facts, tools.generation, folder, flags, jobs or os.cpu_count() or 1)
    text = design.tcl(values)
    (folder / commands.PARAMETERS).write_text(text, encoding="utf-8")
    (folder / commands.CONFIGURATION).write_text(commands.configuration(values), encoding="utf-8")
    cycles = int(record.decode(records, start).cycles.sum())
    releases = [tool.release for name, tool in tools.programs.items() if name != VIVADO]
    digest = hashlib.sha256(isa.HASH.encode() + repr((tools.version, releases)).encode())
    copies = sorted((folder / "src").rglob("*.?pp"))
    for path in (folder / commands.PARAMETERS, *copies, *sorted(commands.FLOW.iterdir())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Job(
        board=board,
        point=points.running(board, data),
        folder=folder,
        limits=data["limits"],
        facts=facts,
        tools=tools,
        images=len(images),
        modelled_cycles=cycles,
        digest=digest.hexdigest(),
        accepted=tuple(accepted),
    )


def results(job):
    """Stage → facts of the stages that have run with these sources, this clock and these tools."""
    try:
        found = json.loads((job.folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found["stages"] if found.get("digest") == job.digest else {}


def run_stage(stage, job):
    """Run one stage, check what it made, and note its facts. UserError."""
    needed = NEEDS.get(stage)
    done = results(job)
    if needed and needed not in done:
        asked = points.asked(job.board, job.point)
        raise UserError(f"{stage} needs what {needed} makes of these sources: make synth {asked} STAGE={needed}")
    later = commands.STAGES[commands.STAGES.index(stage) :] if stage == "hls" else (stage,)
    done = {name: value for name, value in done.items() if name not in later}
    _note(job, done)
    began = _clear(stage, job)
    steps = commands.steps(stage, job.tools, job.folder)
    _log(job.folder, stage).write_bytes(b"")
    for step in steps:
        print(f"{stage:5} {step.line()}", flush=True)
        _run(step, job)
    warnings = logs.check([path for path in _logs(job.folder, stage) if path.exists()], job.accepted)
    for path in commands.reports(stage, job.hls, job.folder, job.facts):
        _check_fresh(stage, path, began)
    facts, remarks = _check(stage, job)
    for remark in (*warnings, *remarks):
        print(f"{stage:5} note: {remark}")
    _note(job, done | {stage: {**facts, "critical_warnings": warnings} if warnings else facts})


def _note(job, stages):
    """Keep the facts of the stages that are done with these sources."""
    kept = {"board": job.board, "digest": job.digest, "sources": sources.digest(), "version": job.tools.version}
    write(job.folder / RESULTS, json.dumps({**kept, "stages": stages}, indent=2) + "\n")


def _clear(stage, job):
    """Delete what the stage makes, so that nothing older is taken for it; the time, as new files have it."""
    for path in (*commands.made(stage, job.hls, job.folder, job.facts), *_logs(job.folder, stage)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    marker = job.folder / f".{stage}.began"  # by the clock of the disk, which may be another machine's
    marker.write_bytes(b"")
    began = marker.stat().st_mtime_ns
    marker.unlink()
    return began


def _check_fresh(stage, path, began):
    """UserError unless the stage made the file at `path` after the time `began`."""
    if not path.is_file():
        raise UserError(f"{stage} ended without an error, and without {path}: see {stage}.log")
    if path.stat().st_mtime_ns < began:
        raise UserError(f"{path} is older than this run of {stage}: it is of another one, see {stage}.log")


def _log(folder, stage):
    return folder / f"{stage}.log"


def _logs(folder, stage):
    """Where a stage's tools say what they do."""
    return [_log(folder, stage), *([folder / "vivado.log"] if stage == "impl" else [])]


def _run(step, job):
    """Run a tool, its output behind what STAGE.log has. UserError with the first error that it tells."""
    log = _log(job.folder, step.stage)
    with log.open("ab") as file:
        code = programs.run(step.command, cwd=job.folder, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = next(logs.errors(lines), lines[-1] if lines else "")
        raise UserError(
            f"{step.stage} failed ({Path(step.command[0]).name}, exit code {code}): {told.strip()} (see {log})"
        )


def _check(stage, job):
    if stage == "csim":
        return checks.csim(job.hls, job.facts["top"])
    if stage == "hls":
        return checks.synthesis(job.hls, job.facts, job.limits)
    if stage == "cosim":
        return checks.cosimulation(job.hls, job.facts["top"], job.images, job.modelled_cycles)
    return checks.implementation(job.folder, job.facts, job.limits)


def dry_tools(generation):
    """Tools by their names alone, for a run that only says what it would do."""
    programs, versions = GENERATIONS[generation]
    return Tools(generation, {name: Tool(name, name, "", "") for name in (*programs, VIVADO)}, versions[-1])


def parse(argv):
    """The command line's arguments; what is wrong with it ends the program with one line and exit code 2."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("board", nargs="?", default="zedboard", help="one of `make boards` (default: %(default)s)")
    parser.add_argument("--stage", choices=STAGES, default="all", help="what to run (default: %(default)s)")
    parser.add_argument("--clock-mhz", type=CLOCK, help="of the engine (default: its point's, bitstreams/points.py)")
    parser.add_argument("--generation", choices=tuple(GENERATIONS), help="of the tools (default: the first found)")
    parser.add_argument("--dry-run", action="store_true", help="write every file, print every command, run nothing")
    parser.add_argument("--jobs", type=Whole(1, 256), help="processes of Vivado (default: one for each processor)")
    parser.add_argument("--build", type=Path, default=BUILD, help="gets BOARD-POINT/ (default: build/synth)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder that gets BOARD/ (default: bitstreams)")
    help_text = "critical warning that fails nothing, by its id, such as 'BD 41-1356'"
    parser.add_argument("--accept", action="append", default=[], metavar="ID", help=help_text)
    return parser.parse_args(argv)


def main(argv=None):
    """Run the stages; 0, 1 when one failed, 2 when they cannot run, 130 when interrupted."""
    arguments = parse(argv)
    try:
        return guarded("bitstreams.vitis.synth", lambda: _synthesise(arguments), INTERRUPTED, CODES)
    except ToolsMissing as missing:
        print(missing.text)
        return 2


def _synthesise(arguments):
    stages = commands.STAGES if arguments.stage == "all" else (arguments.stage,)
    name = points.place(arguments.board, points.running(arguments.board))
    folder, target = (arguments.build / name).resolve(), arguments.out / arguments.board
    if arguments.dry_run:
        tools = dry_tools(arguments.generation or CLASSIC)
    else:
        tools = choose(look(), arguments.generation, vivado="impl" in stages)
        if "impl" in stages:
            usable(arguments.out, "--out")
    job = prepare(arguments.board, arguments.clock_mhz, tools, folder, arguments.jobs, arguments.accept)
    if arguments.dry_run:
        for stage in stages:
            for step in commands.steps(stage, tools, folder):
                print(f"{stage:5} {step.line()}")
        print(f"nothing was run; the files are in {folder}")
        return 0
    return _build(job, stages, target)


def _build(job, stages, target):
    try:
        for stage in stages:
            run_stage(stage, job)
        if "impl" in stages:
            install(job, results(job), target)
    except (UserError, OSError) as error:
        raise StageFailed(str(error)) from None
    if "impl" in stages:
        clock = f"{results(job)['impl']['clock_mhz']:g} MHz"
        print(f"built {target}: {job.facts['design']}.bit at {clock}{f', point {job.point.name}' if job.point else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
