"""What a finished build leaves in bitstreams/BOARD/: bitstream, description, build.json and reports, all at once.

install(job, results(job), FOLDER / job.board)      # of bitstreams/vitis/synth.py
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from bitstreams.generate import FOLDER
from bitstreams.vitis import checks, commands
from hls import isa
from hls.command import tools
from hls.generate import variant

ROOT = FOLDER.parent


def install(job, stages, target):
    """Put the bitstream, its description, build.json and the reports at `target`, in place of what was there."""
    name = job.facts["design"]
    bit, hwh = checks.platform(job.folder / f"{name}.xsa", job.facts)
    files = {f"{name}.bit": bit, f"{name}.hwh": hwh.encode()}
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    files["build.json"] = (json.dumps({**build_facts(job, stages), "sha256": sha256}, indent=2) + "\n").encode()
    files |= {report: (job.folder / report).read_bytes() for report in commands.REPORTS}
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
        if old.exists() and not target.exists():  # interrupted between the two
            old.rename(target)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def build_facts(job, stages):
    """What build.json says of a bitstream; host/board/overlay.py reads isa_hash, part, clock_mhz, commit and sha256."""
    placed, contract = stages["impl"], variant.contract_of({})
    return {
        "isa_hash": isa.HASH,
        "board": job.board,
        "point": job.point.name if job.point else None,
        "part": job.facts["part"],
        "clock_mhz": placed["clock_mhz"],
        "slack": placed["slack"],
        "utilisation": placed["used"],
        "engine": {name: getattr(isa, name) for section in variant.SECTIONS for name in contract[section]},
        "tools": {tool.name: tool.release for tool in job.tools.programs.values()},
        "critical_warnings": [line for stage in stages.values() for line in stage.get("critical_warnings", [])],
        "simulated": {name: stages[name]["passed"] if name in stages else None for name in ("csim", "cosim")},
        "commit": commit(),
    }


def commit(root=ROOT):
    """The git commit of this checkout, "-changed" behind it where files differ from it; "unknown" without git."""
    try:
        head, changed = (
            tools.run(["git", *asked], cwd=root)
            for asked in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except OSError:
        return "unknown"
    if head.returncode or changed.returncode:
        return "unknown"
    return head.stdout.strip() + ("-changed" if changed.stdout.strip() else "")
