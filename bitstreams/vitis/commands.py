"""The command lines of each stage, for both generations of the vendor's tools, and the configuration file of the newer.

    for step in steps("hls", tools, folder): subprocess.run(step.command, cwd=folder)

Everything is said by files in the build's folder: `vitis-run` takes no arguments for a script.
"""

from dataclasses import dataclass
from pathlib import Path

from bitstreams.vitis.tools import CLASSIC, VIVADO

FLOW = Path(__file__).resolve().parents[1] / "flow"
REPORTS = ("timing_summary.rpt", "utilization.rpt", "utilization_hierarchical.rpt")
STAGES = ("csim", "hls", "cosim", "impl")
CONFIGURATION = "hls.cfg"
PARAMETERS = "parameters.tcl"
COMPONENT = "component"  # work_dir of the newer tools
PROJECT, SOLUTION = "engine", "solution"  # of the older: flow/project.tcl


@dataclass(frozen=True)
class Step:
    """One run of a tool: its name for people, and its command line."""

    stage: str
    command: tuple

    def line(self):
        """The command line as one types it."""
        return " ".join(self.command)


def steps(stage, tools, folder):
    """The Steps of `stage`, with the programs of `tools` (bitstreams.vitis.tools.Tools), to be run in `folder`."""
    if stage == "impl":
        script = str(FLOW / "implement.tcl")
        command = (
            tools.path(VIVADO),
            "-mode",
            "batch",
            "-notrace",
            "-nojournal",
            "-log",
            "vivado.log",
            "-source",
            script,
        )
        return [Step(stage, command)]
    if tools.generation == CLASSIC:
        return [Step(stage, (tools.path("vitis_hls"), "-f", str(FLOW / f"{stage}.tcl")))]
    tail = ("--config", str(Path(folder) / CONFIGURATION), "--work_dir", COMPONENT)
    compiled = Step(stage, (tools.path("v++"), "-c", "--mode", "hls", *tail))
    runs = {"csim": ["--csim"], "hls": ["--package"], "cosim": ["--cosim"]}[stage]
    ran = [Step(stage, (tools.path("vitis-run"), "--mode", "hls", run, *tail)) for run in runs]
    return [compiled, *ran] if stage == "hls" else ran


def hls_folder(generation, folder):
    """Where HLS puts reports and the IP: csim, syn, sim and impl are below it."""
    return Path(folder) / (Path(PROJECT) / SOLUTION if generation == CLASSIC else Path(COMPONENT) / "hls")


def made(stage, hls, folder, facts):
    """Files and folders that a stage makes: it starts without them."""
    if stage == "impl":
        return [*reports(stage, hls, folder, facts), Path(folder) / VIVADO]
    return [Path(hls) / name for name in {"csim": ("csim",), "hls": ("syn", "impl"), "cosim": ("sim",)}[stage]]


def reports(stage, hls, folder, facts):
    """Files of a stage that are read after it."""
    top, design = facts["top"], facts["design"]
    if stage == "impl":
        return [Path(folder) / name for name in (*REPORTS, f"{design}.xsa")]
    places = {
        "csim": f"csim/report/{top}_csim.log",
        "hls": "syn/report/csynth.xml",
        "cosim": f"sim/report/{top}_cosim.rpt",
    }
    return [Path(hls) / places[stage]]


def parameters(facts, generation, folder, flags, jobs):
    """`facts` (bitstreams.design.facts) with the files, flags and settings of one build, for parameters.tcl."""
    folder = Path(folder)
    source, simulation = flags
    return {
        **facts,
        "source": folder / "src" / "engine.cpp",
        "source_flags": source,
        "testbench": folder / "testbench.cpp",
        "simulation_flags": simulation,
        "vectors": folder / "vectors",
        "vlnv": facts["slaves"][facts["engine"]]["vlnv"].split(":"),
        "ip_repository": hls_folder(generation, folder) / "impl" / "ip",
        "strategy": "Performance_ExplorePostRoutePhysOpt",
        "jobs": jobs,
    }


def configuration(values):
    """The configuration file of `v++ -c --mode hls` and `vitis-run`, from parameters()."""
    vendor, library, name, version = values["vlnv"]
    lines = [
        ("part", values["part"]),
        None,
        ("flow_target", "vivado"),
        ("clock", f"{values['period_ns']}ns"),
        ("clock_uncertainty", f"{values['uncertainty_percent']}%"),
        ("syn.top", values["top"]),
        ("syn.file", values["source"]),
        ("syn.cflags", values["source_flags"]),
        ("syn.csimflags", values["simulation_flags"]),
        ("tb.file", values["testbench"]),
        ("tb.cflags", values["simulation_flags"]),
        ("csim.argv", values["vectors"]),
        ("csim.clean", "true"),
        ("cosim.argv", values["vectors"]),
        ("cosim.O", "true"),
        ("cosim.rtl", "verilog"),
        ("cosim.tool", "xsim"),
        ("package.output.format", "ip_catalog"),
        ("package.ip.vendor", vendor),
        ("package.ip.library", library),
        ("package.ip.name", name),
        ("package.ip.version", version),
    ]
    text = "\n".join("\n[hls]" if line is None else f"{line[0]}={line[1]}" for line in lines)
    head = "# Made by bitstreams.vitis.synth for v++ -c --mode hls and vitis-run: change what it is made of, not this."
    return f"{head}\n{text}\n"
