"""The RTL mapped to the chip's cells by yosys: what it takes, and its longest way.

    found = mapped(program)      # {"lut": …, "ff": …, "dsp": …, "bram18": …, "period_ns": …, "way": "…"}

Each module is mapped once and stands as often as it is used; then the netlist is flattened, counted and timed. The
ports that show registers to the comparison are there too. It takes minutes: build/lockstep/ keeps what the RTL came to.
"""

import hashlib
import json
from collections import Counter

from bitstreams import vectors
from bitstreams.lockstep import build
from bitstreams.lockstep.timing import CELLS, Timing
from bitstreams.open_hls import rtl
from hls.bounds.operators import DATA
from hls.command import outputs, tools
from hls.errors import UserError

FOLDER = vectors.BUILD.parent / "lockstep"
RESULT, NETLIST = "result.json", "netlist.json"
GRADE = "-1"
STILL = ("layer",)  # set at a layer's start


def mapped(program, folder=FOLDER):
    """What the RTL comes to by the yosys at `program`, worked out in `folder`. UserError where it fails."""
    texts = build.sources()
    version = tools.run([program, "-V"]).stdout
    delays = [path.read_text(encoding="utf-8") for path in (CELLS, DATA)]
    digest = hashlib.sha256(repr((version, delays, sorted(texts.items()))).encode()).hexdigest()
    kept = folder / RESULT
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if known.get("digest") != digest:
        known = {"digest": digest, "yosys": version.strip(), **_mapped(program, folder, texts)}
        outputs.write(kept, json.dumps(known, indent=2) + "\n")
    return known


def _mapped(program, folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = [folder / name for name in build.ordered(texts)]
    result = tools.run(command(program, files, folder / NETLIST))
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if "ERROR" in line] or [result.stderr[-200:].strip()]
        raise UserError(f"{program} failed on bitstreams/lockstep/rtl: {said[0]}")
    netlist = json.loads((folder / NETLIST).read_text(encoding="utf-8"))
    cells = Counter(cell["type"] for cell in netlist["modules"][build.TOP]["cells"].values())
    timing = Timing.of(netlist, build.TOP, GRADE, STILL)
    return {**rtl.resources(cells), "period_ns": round(timing.period_ns, 2), "way": way(timing.path)}


def command(program, files, netlist):
    """yosys's command line."""
    steps = [f"read_verilog -sv {' '.join(map(str, files))}", f"hierarchy -check -top {build.TOP}"]
    steps += [f"synth_xilinx -family xc7 -noiopad -noclkbuf -top {build.TOP}", "flatten", f"write_json {netlist}"]
    return [program, "-q", "-p", "; ".join(steps)]


def way(path):
    """A path in words: where it starts, its cells in turn, where it ends."""
    kinds = [f"{count} {kind}" for kind, count in Counter(kind for kind, _ in path[1:-1]).items()]
    return f"{path[0][1] or path[0][0]}, {', '.join(kinds) or 'a wire'}, into {path[-1][0]} behind {path[-2][1]}"
