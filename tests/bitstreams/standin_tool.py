"""One run of a stand-in of the vendor's tools (standin_tools.py): NAME OUTPUTS ARGUMENTS…, in the build's folder.

The command line must be one that the tool takes; a script is told in a real tclsh with the recorder. Then the reports
of the stage are copied to where the tool writes them. The standard library alone: a test starts many of these.
"""

import subprocess
import sys
from pathlib import Path

RECORDER = Path(__file__).with_name("recorder.tcl")


def record(name, script, log):
    """Run a script against the recorder. ValueError with what it refuses."""
    tool = {"vivado": "vivado", "vitis_hls": "hls"}[name]
    command = ["tclsh", str(RECORDER), tool, log, script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ValueError(result.stderr.strip())


def stage_of(name, arguments):
    """The stage that a command line asks for; ValueError for one that the tool does not take."""
    if name == "vivado":
        expected = ["-mode", "batch", "-notrace", "-nojournal", "-log", "vivado.log", "-source"]
        if arguments[:-1] != expected:
            raise ValueError(f"vivado {' '.join(arguments)}: expected {' '.join(expected)} SCRIPT")
        return "impl"
    if name == "vitis_hls":
        if arguments[0] != "-f" or len(arguments) != 2:
            raise ValueError(f"vitis_hls {' '.join(arguments)}: expected -f SCRIPT")
        return Path(arguments[1]).stem
    tail = arguments[-4:]
    if tail[0] != "--config" or Path(tail[1]).name != "hls.cfg" or tail[2:] != ["--work_dir", "component"]:
        raise ValueError(f"{name} {' '.join(arguments)}: expected --config FILE --work_dir FOLDER at the end")
    head = tuple(arguments[:-4])
    runs = {"--csim": "csim", "--package": "hls", "--cosim": "cosim"}
    known = {("vitis-run", "--mode", "hls", run): stage for run, stage in runs.items()}
    known |= {("v++", "-c", "--mode", "hls"): "hls"}
    if (name, *head) not in known:
        raise ValueError(f"{name} {' '.join(head)}: expected one of {', '.join(' '.join(item) for item in known)}")
    return known[(name, *head)]


def main(argv):
    """Do what the tool NAME would: NAME OUTPUTS ARGUMENTS…; in the build's folder."""
    name, outputs, *arguments = argv
    try:
        stage = stage_of(name, arguments)
        if name in ("vivado", "vitis_hls"):
            record(name, arguments[-1], f"{stage}.recorded")
    except ValueError as error:
        print(f"ERROR: [{name} 1-1] {error}")
        return 1
    below = {"vivado": Path(), "vitis_hls": Path("engine/solution")}.get(name, Path("component/hls"))
    source = Path(outputs) / stage
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = below / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
