"""Stand-ins of the vendor's tools: scripts that give a version, check what they are told, and leave reports behind.

    install(folder, ["vivado", "vitis_hls"], "2022.2")                    # to be found and asked for their version
    install(folder, …, outputs=folder)                                    # to be run: see Outputs

What a stand-in does when it is run stands in standin_tool.py.
"""

import io
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from bitstreams import design
from hls import isa
from tests.bitstreams import samples

SAYS = {
    "vivado": "Vivado v{} (64-bit)\nSW Build 3671981 on Fri Oct 14 04:59:54 MDT 2022",
    "vitis_hls": "Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v{} (64-bit)",
    "v++": "****** v++ v{} (64-bit)\n  **** SW Build 4081461",
    "vitis-run": "\n****** vitis-run v{} (64-bit)",
}
TOOL = Path(__file__).with_name("standin_tool.py")
REGISTERS = "impl/ip/drivers/ddi_engine_v1_0/src/xddi_engine_hw.h"


@dataclass
class Outputs:
    """What the stand-ins leave behind: the text of each report, and files to leave out."""

    csim: str = "INFO: [SIM 2] ***\n2 records are the golden model's\nPASS\nINFO: [SIM 1] CSim done with 0 errors.\n"
    csynth: str = field(default_factory=samples.csynth)
    header: str = field(default_factory=samples.header)
    cosim: str = field(default_factory=samples.cosim)
    timing: str = field(default_factory=samples.timing)
    utilization: str = field(default_factory=samples.utilization)
    base: str = ""  # of the engine in the .hwh, in place of the right one
    leave_out: tuple = ()

    def files(self, stage):
        """Place below HLS's folder, or Vivado's → bytes."""
        texts = {
            "csim": {"csim/report/ddi_engine_csim.log": self.csim},
            "hls": {"syn/report/csynth.xml": self.csynth, REGISTERS: self.header},
            "cosim": {"sim/report/ddi_engine_cosim.rpt": self.cosim},
            "impl": {"timing_summary.rpt": self.timing, "utilization.rpt": self.utilization,
                     "utilization_hierarchical.rpt": "hierarchical\n"},
        }[stage]  # fmt: skip
        found = {place: text.encode() for place, text in texts.items()}
        if stage == "impl":
            found["ddi.xsa"] = xsa(self.base)
        return {place: data for place, data in found.items() if place not in self.leave_out}


def xsa(base=""):
    """Vivado's archive of a platform: a bitstream and the .hwh with the addresses of overlay.json."""
    plan = design.overlay()
    ranges = ""
    for key in ("engine", "timer", "interrupt_controller"):
        block = plan[key]
        at = int(base or block["base"], 16) if key == "engine" else int(block["base"], 16)
        high = at + int(block["range"], 16) - 1
        ranges += f'<MEMRANGE INSTANCE="{block["ip"]}" BASEVALUE="0x{at:08X}" HIGHVALUE="0x{high:08X}"/>'
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ddi_wrapper.bit", b"bitstream of " + isa.HASH.encode())
        archive.writestr(f"{plan['design']}.hwh", f"<EDKSYSTEM><MODULES>{ranges}</MODULES></EDKSYSTEM>")
    return stream.getvalue()


def install(folder, programs, version, outputs=None):
    """Put stand-ins of `programs` into `folder`; with `outputs` (of a folder by stage) they can be run."""
    for name in programs:
        path = Path(folder) / name
        says = SAYS[name].format(version) if version else "no such option"
        run = f'exec {sys.executable} -S {TOOL} {name} {outputs} "$@"' if outputs else "exit 1"
        path.write_text(f"""#!/bin/sh
case "$1" in -version|--version) cat <<'END'
{says}
END
exit 0;; esac
{run}
""")
        path.chmod(0o755)


def save(folder, outputs):
    """Write Outputs as files, by stage, for the stand-ins to copy."""
    for stage in ("csim", "hls", "cosim", "impl"):
        for place, data in outputs.files(stage).items():
            path = Path(folder) / stage / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return folder
