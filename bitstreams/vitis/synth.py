"""From the C++ engine to a bitstream: Vitis HLS and Vivado in batch, one stage after the other, each one checked.

    make synth BOARD=zedboard [STAGE=csim|hls|cosim|impl|all] [CLOCK_MHZ=143] [DRY_RUN=1]
    python -m bitstreams.vitis.synth zedboard --stage all --clock-mhz 143

csim and cosim compare the C++ and the RTL with the golden vectors of a real package. What is built goes to
bitstreams/BOARD/ (.bit, .hwh, build.json, reports), whole or not at all; on the way all is in build/synth/BOARD/.
Exit code 1: a stage failed or its result is not good enough; 2: no tools, or a wrong argument.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bitstreams import design, sources, vectors
from bitstreams.generate import FOLDER
from bitstreams.vitis import checks, commands
from bitstreams.vitis.tools import CLASSIC, GENERATIONS, VIVADO, Tool, Tools, ToolsMissing, choose, look
from hls import isa, record
from hls.errors import UserError

ROOT = FOLDER.parent
BUILD = ROOT / "build" / "synth"
RESULTS = "results.json"
REPORTS = ("timing_summary.rpt", "utilization.rpt", "utilization_hierarchical.rpt")
STAGES = (*commands.STAGES, "all")
NEEDS = {"cosim": "hls", "impl": "hls"}
VENDOR = "-DDDI_VENDOR"  # queues and bursts are the vendor's library's (hls/src/shim.hpp)


@dataclass(frozen=True)
class Job:
    """A build: its folder, the board's data, facts for the TCL, and what it simulates."""

    board: str
    folder: Path
    limits: dict
    facts: dict
    tools: Tools
    images: int
    modelled_cycles: int  # of the batch, by the golden model's counters
    digest: str  # of all that HLS reads

    @property
    def hls(self):
        return commands.hls_folder(self.tools.generation, self.folder)


def prepare(board, clock_mhz, tools, folder, jobs=None):
    """Write everything that the tools read into `folder`: sources, vectors, parameters; the Job."""
    data, top = design.read(board), sources.read_top()
    facts = design.facts(board, clock_mhz, widened=top.widened, board=data)
    package, images, start = vectors.batch()
    records = vectors.write(folder, package, images, start, top)
    flags = (f"{vectors.STANDARD} {VENDOR}", f"{vectors.STANDARD} {vectors.CHIP} {VENDOR} -I{folder}")
    values = commands.parameters(facts, tools.generation, folder, flags, jobs or os.cpu_count() or 1)
    text = design.tcl(values)
    (folder / commands.PARAMETERS).write_text(text, encoding="utf-8")
    (folder / commands.CONFIGURATION).write_text(commands.configuration(values), encoding="utf-8")
    cycles = int(record.decode(records, start).cycles.sum())
    digest = hashlib.sha256(isa.HASH.encode() + tools.version.encode())
    copies = sorted((folder / "src").rglob("*.?pp"))
    for path in (folder / commands.PARAMETERS, *copies, *sorted(commands.FLOW.iterdir())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Job(board, folder, data["limits"], facts, tools, len(images), cycles, digest.hexdigest())


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
        raise UserError(
            f"{stage} needs what {needed} makes of these sources: make synth BOARD={job.board} STAGE={needed}"
        )
    for step in commands.steps(stage, job.tools, job.folder):
        print(f"{stage:5} {step.line()}", flush=True)
        _run(step, job.folder)
    facts, remarks = _check(stage, job)
    for remark in remarks:
        print(f"{stage:5} note: {remark}")
    later = commands.STAGES[commands.STAGES.index(stage) :] if stage == "hls" else (stage,)
    stages = {name: value for name, value in done.items() if name not in later} | {stage: facts}
    kept = {"board": job.board, "digest": job.digest, "sources": sources.digest(), "version": job.tools.version}
    kept["stages"] = stages
    _replace(job.folder / RESULTS, json.dumps(kept, indent=2) + "\n")


def _run(step, folder):
    """Run a tool in `folder`, its output in STAGE.log. UserError with the first error that it tells."""
    log = folder / f"{step.stage}.log"
    with log.open("wb") as file:
        code = subprocess.run(step.command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = next((line for line in lines if line.startswith(("ERROR", "CRITICAL"))), lines[-1] if lines else "")
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


def install(job, target):
    """Put the bitstream, its description, build.json and the reports at `target`, in place of what was there."""
    name = job.facts["design"]
    bit, hwh = checks.platform(job.folder / f"{name}.xsa", job.facts)
    files = {f"{name}.bit": bit, f"{name}.hwh": hwh.encode()}
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    files["build.json"] = (json.dumps({**build_facts(job), "sha256": sha256}, indent=2) + "\n").encode()
    files |= {report: (job.folder / report).read_bytes() for report in REPORTS}
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh.chmod(0o755)
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        for file, content in files.items():
            (fresh / file).write_bytes(content)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def build_facts(job):
    """What build.json says of a bitstream; host/board/overlay.py reads isa_hash, part, clock_mhz, commit and sha256."""
    import tomllib  # Python 3.11; nothing that runs on a board builds

    stages = results(job)
    placed = stages["impl"]
    contract = tomllib.loads((ROOT / "hls" / "isa.toml").read_text(encoding="utf-8"))
    return {
        "isa_hash": isa.HASH,
        "board": job.board,
        "part": job.facts["part"],
        "clock_mhz": placed["clock_mhz"],
        "slack": placed["slack"],
        "utilisation": placed["used"],
        "engine": contract["sizes"],
        "tools": {tool.name: tool.version for tool in job.tools.programs.values()},
        "simulated": {name: stages[name]["passed"] if name in stages else None for name in ("csim", "cosim")},
        "commit": commit(),
    }


def commit(root=ROOT):
    """The git commit of this checkout, "-changed" behind it where files differ from it; "unknown" without git."""
    try:
        head, changed = (
            subprocess.run(["git", *asked], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for asked in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-changed" if changed else head


def _replace(path, text):
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def dry_tools(generation):
    """Tools by their names alone, for a run that only says what it would do."""
    programs, versions = GENERATIONS[generation]
    return Tools(generation, {name: Tool(name, name, "") for name in (*programs, VIVADO)}, versions[-1])


def parse(argv):
    """The command line's arguments; what is wrong with it ends the program with one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", nargs="?", default="zedboard", help="one of `make boards` (default: %(default)s)")
    parser.add_argument("--stage", choices=STAGES, default="all", help="what to run (default: %(default)s)")
    parser.add_argument("--clock-mhz", type=float, help="of the engine (default: the board's)")
    parser.add_argument("--generation", choices=tuple(GENERATIONS), help="of the tools (default: the first found)")
    parser.add_argument("--dry-run", action="store_true", help="write every file, print every command, run nothing")
    parser.add_argument("--jobs", type=int, help="processes of Vivado (default: one for each processor)")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder to build in (default: build/synth)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder that gets BOARD/ (default: bitstreams)")
    return parser.parse_args(argv)


def main(argv=None):
    """Run the stages; 0, 1 when one failed, 2 when they cannot run."""
    arguments = parse(argv)
    stages = commands.STAGES if arguments.stage == "all" else (arguments.stage,)
    try:
        design.read(arguments.board)
        if arguments.dry_run:
            tools = dry_tools(arguments.generation or CLASSIC)
        else:
            tools = choose(look(), arguments.generation, vivado="impl" in stages)
        folder = (arguments.build / arguments.board).resolve()
        job = prepare(arguments.board, arguments.clock_mhz, tools, folder, arguments.jobs)
    except ToolsMissing as missing:
        print(missing.text)
        return 2
    except (UserError, OSError) as error:
        print(f"bitstreams.vitis.synth: {error}", file=sys.stderr)
        return 2
    if arguments.dry_run:
        for stage in stages:
            for step in commands.steps(stage, tools, folder):
                print(f"{stage:5} {step.line()}")
        print(f"nothing was run; the files are in {folder}")
        return 0
    return _build(job, stages, arguments.out / arguments.board)


def _build(job, stages, target):
    try:
        for stage in stages:
            run_stage(stage, job)
        if "impl" in stages:
            install(job, target)
    except (UserError, OSError) as error:
        print(f"bitstreams.vitis.synth: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bitstreams.vitis.synth: interrupted; stages that were done before need not run again", file=sys.stderr)
        return 130
    if "impl" in stages:
        print(f"built {target}: {job.facts['design']}.bit at {results(job)['impl']['clock_mhz']:g} MHz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
