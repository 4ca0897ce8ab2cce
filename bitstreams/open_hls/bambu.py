"""Bambu, an open HLS compiler: its dialect of our pragmas, its command line, and what it says when it is done.

It pipelines no loop and partitions no array, and keeps each array in a memory of one or
two ports. So a loop that the chip unrolls over registers would become long code whose accesses take turns; it stays a
loop, and the RTL computes the same in more cycles. Its simulation calls C++ and RTL on copies of the memories, and
compares what each call leaves there; its exit code is 0 whatever it finds, the test bench's log says what.
"""

import re
from pathlib import Path

from bitstreams import sources, vectors
from hls.errors import UserError

DEVICE = "xc7z020-1clg484-VVD"
TOP_FILE = f"{sources.TOP}.v"
OPTIMISATION = "-O2"  # of its front end
CYCLES = "results.txt"  # start|end of each call, in half cycles, in its first line
MOST_CYCLES = 10_000_000  # a simulation that takes more hangs
TESTBENCH_LOG = Path("HLS_output") / "simulation" / "testbench.log"
DIFFERENCE = (
    "Bambu pipelines no loop, and loops that the chip unrolls stay loops here, whose accesses to a memory take turns: "
    "neither figure is the engine's, and its RTL has to compute the same all the same."
)
INLINE = "__attribute__((always_inline))"
_PRAGMA = re.compile(r"^( *)#pragma HLS (\w+)(.*)$")


def dialect(text):
    """A source with its pragmas as Bambu takes them: m_axi ports, which it wants by name.

    s_axilite, pipeline in a loop and unroll behind the `for` would be errors; the others it does not know. What is left
    of them, `inline`, is said of every function but those of a port: arguments of others may change on the way, and
    Bambu does not find the ports among them.
    """
    lines = []
    for line in text.splitlines():
        pragma = _PRAGMA.match(line)
        if line.startswith("inline ") and not (lines and lines[-1].startswith("DDI_PORT(")):
            line = f"{INLINE} {line}"
        if pragma is None:
            lines.append(line)
        elif pragma[2] == "interface" and (port := re.match(r" m_axi port = (\w+)", pragma[3])):
            name = port[1]
            lines.append(f"{pragma[1]}#pragma HLS interface port={name} mode=m_axi offset=direct bundle=bundle_{name}")
    return "\n".join(lines) + "\n"


def command(program, folder):
    """The command line: compile, and simulate with Verilator against the test bench, in `folder`.

    --std with two dashes: with one, its s is read as the option of another scheduler.
    """
    folder = Path(folder)
    flags = [f"-{vectors.STANDARD}", "-D__SYNTHESIS__", f"-I{folder}", OPTIMISATION, "--compiler=I386_CLANG16"]
    asked = [f"--top-fname={sources.TOP}", "-o", sources.TOP, f"--device-name={DEVICE}", "--generate-interface=INFER"]
    tested = [
        "--simulate",
        "--simulator=VERILATOR",
        f"--max-sim-cycles={MOST_CYCLES}",
        f"--generate-tb={folder / vectors.TESTBENCH}",
    ]
    return [program, str(folder / "src" / sources.MAIN), *flags, *asked, *tested, f"--tb-arg={folder / 'vectors'}"]


def agrees(folder):
    """Did the test bench and the comparison of RTL and C++ find all well, in the simulation that ran in `folder`?"""
    try:
        log = (Path(folder) / TESTBENCH_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "ERROR" not in log and re.search(r"^PASS$", log, re.MULTILINE) is not None


def complaint(log):
    """The line of a log that says what is wrong, or its last one."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no message")


def simulated_cycles(folder):
    """Cycles of each call of the top function, in order, of a simulation that has run in `folder`. UserError."""
    path = Path(folder) / CYCLES
    try:
        first = path.read_text(encoding="utf-8").split("\n")[0]
        calls = [call.split("|") for call in first.rstrip(",").split(",")]
        return [-(-(int(end) - int(start)) // 2) for start, end in calls]
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} does not say how many cycles each call took: {error}") from None
