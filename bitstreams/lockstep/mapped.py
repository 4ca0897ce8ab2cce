"""The RTL mapped to the chip's cells by yosys: what it takes, and its longest way.

    found = mapped(program, folder)       # {"lut": …, "ff": …, "dsp": …, "bram18": …, "period_ns": …, "path": […]}

Each module is mapped once and stands as often as it is used; then the netlist is flattened, counted and timed. The
ports that show registers to the comparison are there too.
"""

import json
from collections import Counter
from pathlib import Path

from bitstreams.lockstep import build
from bitstreams.lockstep.timing import Timing
from bitstreams.open_hls import rtl
from hls.command import tools
from hls.errors import UserError

GRADE = "-1"
NETLIST = "netlist.json"


def command(program, files, top, netlist):
    """yosys's command line."""
    steps = [f"read_verilog -sv {' '.join(map(str, files))}", f"hierarchy -check -top {top}"]
    steps += [f"synth_xilinx -family xc7 -noiopad -noclkbuf -top {top}", "flatten", f"write_json {netlist}"]
    return [program, "-q", "-p", "; ".join(steps)]


def mapped(program, folder, top=build.TOP):
    """What the module `top` comes to, by the yosys at `program`, worked out in `folder`. UserError where it fails."""
    folder, texts = Path(folder), build.sources()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = [folder / name for name in build.ordered(texts)]
    result = tools.run(command(program, files, top, folder / NETLIST))
    if result.returncode:
        said = [line for line in result.stderr.splitlines() if "ERROR" in line] or [result.stderr[-200:].strip()]
        raise UserError(f"{program} failed on bitstreams/lockstep/rtl: {said[0]}")
    netlist = json.loads((folder / NETLIST).read_text(encoding="utf-8"))
    cells = Counter(cell["type"] for cell in netlist["modules"][top]["cells"].values())
    timing = Timing.of(netlist, top, GRADE)
    return {**rtl.resources(cells), "period_ns": round(timing.period_ns, 2), "path": timing.path}


def way(path):
    """A path in words: where it starts, its cells in turn, where it ends."""
    kinds = [f"{count} {kind}" for kind, count in Counter(kind for kind, _ in path[1:-1]).items()]
    return f"{path[0][1] or path[0][0]}, {', '.join(kinds) or 'a wire'}, into {path[-1][0]} behind {path[-2][1]}"
