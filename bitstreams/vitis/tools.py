"""Look for the vendor's tools: where they are, which versions they are, and which command lines they take.

    python -m bitstreams.vitis.tools           # what is found, one line each; exit code 2 when the flow cannot run

Vitis HLS has two generations of command lines: `vitis_hls -f script.tcl`, and `v++ -c --mode hls` with `vitis-run`,
which replaces it from 2025.1 on. Vivado's is the same for all.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hls.command.entry import guarded
from hls.command.places import home
from hls.command.tools import run
from hls.errors import UserError

VERSIONS = ("2022.2", "2023.1", "2023.2", "2024.1", "2024.2", "2025.1", "2025.2")
CLASSIC, UNIFIED = "classic", "unified"
# generation → (its programs, the versions it is known to work in)
GENERATIONS = {
    CLASSIC: (("vitis_hls",), VERSIONS[: VERSIONS.index("2024.2") + 1]),
    UNIFIED: (("v++", "vitis-run"), VERSIONS[VERSIONS.index("2023.2") :]),
}
VIVADO = "vivado"
VARIABLES = ("XILINX_VIVADO", "XILINX_HLS", "XILINX_VITIS")
ROOTS = ("/tools/Xilinx", "/opt/Xilinx", "~/Xilinx")
LAYOUTS = ("{tool}/{version}/bin", "{version}/{tool}/bin")  # to 2024.2, from 2025.1 on
FOLDERS = ("Vivado", "Vitis_HLS", "Vitis")
BANNER = re.compile(r"\bv(20\d\d\.\d)(?!\d)([\w.-]*)")  # with an update (.1) or patches (_AR76780) behind it
VERSION_S = 120  # a tool on a network drive takes its time to start


class ToolsMissing(Exception):
    """The flow cannot run here: `text` is a screen that says what was looked for, and what can be done without."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text


@dataclass(frozen=True)
class Tool:
    """A program that was found, and the version it gives itself; "" where it does not say."""

    name: str
    path: str
    version: str  # 2022.2, by which it is known
    release: str = ""  # as it says it, with its update and patches: 2022.2_AR76780


@dataclass(frozen=True)
class Tools:
    """What a build uses: the generation of the HLS command line, its programs, and Vivado where it is needed."""

    generation: str
    programs: dict  # name → Tool
    version: str

    def path(self, name):
        return self.programs[name].path


def folders(environment=os.environ, roots=ROOTS):
    """Folders that are looked through, in order: PATH, the vendor's variables, the usual places of installation."""
    found = [Path(item) for item in environment.get("PATH", "").split(os.pathsep) if item]
    found += [Path(environment[name]) / "bin" for name in VARIABLES if environment.get(name)]
    for root in _roots(roots):
        for version in reversed(VERSIONS):
            for layout in LAYOUTS:
                found += [root / layout.format(tool=tool, version=version) for tool in FOLDERS]
    return list(dict.fromkeys(found))


def _roots(roots):
    """`roots` as paths, without those in a home that is not there."""
    for root in roots:
        try:
            yield home() / root[2:] if root.startswith("~/") else Path(root)
        except UserError:
            continue


def look(environment=os.environ, roots=ROOTS):
    """Name → Tool for every program of the flow that is there, the first in folders() each."""
    path = os.pathsep.join(map(str, folders(environment, roots)))
    found = {}
    for name in (VIVADO, *(program for programs, _ in GENERATIONS.values() for program in programs)):
        where = shutil.which(name, path=path)
        if where:
            found[name] = Tool(name, where, *version_of(name, where))
    return found


def version_of(name, path):
    """(version, release) that a tool gives itself: 2022.2 and 2022.2_AR76780; ("", "") when it gives none."""
    try:
        flag = "-version" if name in (VIVADO, "vitis_hls") else "--version"
        result = run([path, flag], limit_s=VERSION_S)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    match = BANNER.search(result.stdout + result.stderr)
    return (match[1], match[1] + match[2]) if match else ("", "")


def choose(found, generation=None, vivado=True):
    """The Tools to build with, of what look() found. ToolsMissing with the whole screen when it is not enough.

    generation: CLASSIC or UNIFIED, or the first that is there; vivado: whether a stage needs it.
    """
    problems = []
    for name in (generation,) if generation else GENERATIONS:
        programs, versions = GENERATIONS[name]
        problem = _problem(found, (*programs, *((VIVADO,) if vivado else ())), versions)
        if problem is None:
            used = {item: found[item] for item in (*programs, *((VIVADO,) if vivado else ()))}
            return Tools(name, used, found[programs[0]].version)
        problems.append(f"{name}: {problem}")
    raise ToolsMissing(screen(found, problems))


def _problem(found, programs, versions):
    """Why these programs cannot be used together, or None."""
    missing = [name for name in programs if name not in found]
    if missing:
        return f"no {' and no '.join(missing)}"
    for name in programs:
        if found[name].version not in versions:
            return (
                f"{name} is {found[name].version or 'of an unknown version'}, known are {versions[0]} to {versions[-1]}"
            )
    releases = {found[name].version for name in programs}
    if len(releases) > 1:
        return f"{' and '.join(f'{name} {found[name].version}' for name in programs)} are of different releases"
    return None


def screen(found, problems):
    """What was looked for, where, which versions are known, and what can be done without: one screen of text."""
    lines = ["The flow from C++ to a bitstream needs Vitis HLS and Vivado of one release.", "", "Looked for"]
    for name in (VIVADO, *(program for programs, _ in GENERATIONS.values() for program in programs)):
        tool = found.get(name)
        lines.append(f"  {name:10} " + (f"{tool.version or 'version unknown'}  {tool.path}" if tool else "not found"))
    lines += ["in", "  PATH", f"  {', '.join(f'${name}/bin' for name in VARIABLES)}"]
    lines.append(f"  {', '.join(ROOTS)}: {' or '.join(LAYOUTS).format(tool='TOOL', version='VERSION')}")
    lines += ["", "Known versions"]
    for name, (programs, versions) in GENERATIONS.items():
        lines.append(f"  {name:10} {' and '.join(programs)}: {', '.join(versions)}")
    lines += ["", *(f"  {problem}" for problem in problems)]
    lines += [
        "",
        "Without them",
        "  make synth BOARD=zedboard DRY_RUN=1   write every script and print every command line, run nothing",
        "  python -m bitstreams.vectors          C simulation of the same test bench with g++",
        "  make synth-report                     resources, clock and schedule as far as they are modelled",
        "  make rtl                              RTL from an open HLS compiler, where there is one",
        "",
        "With them installed elsewhere: source their settings64.sh, or put their bin folders on PATH.",
    ]
    return "\n".join(lines)


def main():
    """0 when a build can run, 2 when not."""
    return guarded("bitstreams.vitis.tools", _show, "interrupted")


def _show():
    try:
        tools = choose(look())
    except ToolsMissing as missing:
        print(missing.text)
        return 2
    for tool in tools.programs.values():
        print(f"{tool.name:10} {tool.release} {tool.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
