"""Reports in the form in which the vendor's tools write them, with figures that a test chooses.

Written by hand after the forms of Vitis HLS 2022.2 to 2025.x and of Vivado's report_timing_summary and
report_utilization; no tool has made them.
"""

# ruff: noqa: E501, W291  the vendor's lines are as they are

from hls import isa

AVAILABLE = {"lut": 53200, "ff": 106400, "bram36": 140, "dsp": 220}
PLACED = {"lut": 41234, "ff": 60123, "bram36": 129.5, "dsp": 204}
ESTIMATED = {"BRAM_18K": 261, "DSP": 203, "FF": 58211, "LUT": 61234, "URAM": 0}
LOOPS = (("ddi_engine_Pipeline_LoadWords", "LoadWords", "<range><min>16</min><max>8192</max></range>", 1, 72),)


def csynth(
    top="ddi_engine", part="xc7z020-clg484-1", version="2022.2", estimated_ns=6.1, used=None, loops=None, widths=None
):
    """csynth.xml. loops: (module, name, trips, ii, depth), ii None for one that is not pipelined."""
    used = ESTIMATED if used is None else used
    resources = "\n".join(f"<{name}>{count}</{name}>" for name, count in used.items())
    modules = "\n".join(_module(*loop) for loop in (LOOPS if loops is None else loops))
    ports = "\n".join(
        f"<RtlPorts><name>m_axi_{name}_{signal}</name><Object>{name}</Object><Type>pointer</Type><Dir>out</Dir>"
        f"<IOProtocol>m_axi</IOProtocol><Bits>{bits}</Bits></RtlPorts>"
        for name, width in (default_widths() if widths is None else widths).items()
        for signal, bits in (("AWADDR", 64), ("WDATA", width), ("WSTRB", width // 8))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<profile>
<section name = "Vitis HLS Report for '{top}'" level="0"></section>
<ReportVersion><Version>{version}</Version></ReportVersion>
<UserAssignments>
<unit>ns</unit>
<ProductFamily>zynq</ProductFamily>
<Part>{part}</Part>
<TopModelName>{top}</TopModelName>
<TargetClockPeriod>7.00</TargetClockPeriod>
<ClockUncertainty>0.88</ClockUncertainty>
<FlowTarget>vivado</FlowTarget>
</UserAssignments>
<PerformanceEstimates>
<PipelineType>no</PipelineType>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>{estimated_ns:.3f}</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency>
<unit>clock cycles</unit>
<Best-caseLatency>undef</Best-caseLatency>
<Worst-caseLatency>undef</Worst-caseLatency>
</SummaryOfOverallLatency>
<SummaryOfLoopLatency>
<Images>
<Slack>5.11</Slack>
<TripCount><range><min>1</min><max>10000</max></range></TripCount>
<Latency>undef</Latency>
<IterationLatency>undef</IterationLatency>
<PipelineDepth>undef</PipelineDepth>
</Images>
</SummaryOfLoopLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources>
{resources}
</Resources>
<AvailableResources><BRAM_18K>280</BRAM_18K><DSP>220</DSP><FF>106400</FF><LUT>53200</LUT><URAM>0</URAM></AvailableResources>
</AreaEstimates>
<InterfaceSummary>
<RtlPorts><name>ap_clk</name><Object>{top}</Object><Type>return value</Type><Dir>in</Dir><Bits>1</Bits></RtlPorts>
{ports}
</InterfaceSummary>
<ModuleInformation>
{modules}
</ModuleInformation>
</profile>
"""


def _module(module, name, trips, ii, depth):
    pipelined = "" if ii is None else f"<PipelineII>{ii}</PipelineII>\n<PipelineDepth>{depth}</PipelineDepth>"
    return f"""<Module>
<Name>{module}</Name>
<Loops><{name}/></Loops>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><TargetClockPeriod>7.00</TargetClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfLoopLatency>
<{name}>
<Name>{name}</Name>
<TripCount>{trips}</TripCount>
<Latency>undef</Latency>
{pipelined}
</{name}>
</SummaryOfLoopLatency>
</PerformanceEstimates>
</Module>"""


def default_widths():
    """Bus → its bits, as HLS makes them of the contract's ports."""
    return {isa.BUSES[name]: max(32, bits) for name, (kind, bits) in isa.PORTS.items() if kind == "memory"}


def cosim(status="Pass", cycles=(41, 136210, 272379)):
    """The report of C/RTL co-simulation."""
    bar, wide = "-" * 10, "-" * 47
    latency = "|".join(f"{value:>15}" for value in cycles)
    return f"""================================================================
== Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2 (64-bit)
================================================================
Report time       : Fri Jan  5 10:00:00 CET 2024.
Solution          : solution.
Simulation tool   : xsim.

+{bar}+{bar}+{wide}+{wide}+{"-" * 22}+
|          |          |             Latency(Clock Cycles)             |              Interval(Clock Cycles)           | Total Execution Time |
+   RTL    +  Status  +{wide}+{wide}+    (Clock Cycles)    +
|          |          |      min      |      avg      |      max      |      min      |      avg      |      max      |                      |
+{bar}+{bar}+{wide}+{wide}+{"-" * 22}+
|      VHDL|        NA|             NA|             NA|             NA|             NA|             NA|             NA|                    NA|
|   Verilog|{status:>10}|{latency}|             44|             44|             44|                272423|
+{bar}+{bar}+{wide}+{wide}+{"-" * 22}+
"""


def timing(setup=0.112, hold=0.019, pulse=2.25, failing=0, clock_mhz=1000 / 7, met=True):
    """report_timing_summary's file."""
    period = 1000 / clock_mhz
    head = "-" * 96
    said = "All user specified timing constraints are met." if met else "Timing constraints are not met."
    return f"""Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
{head}
| Tool Version      : Vivado v.2022.2 (lin64) Build 3671981 Fri Oct 14 04:59:54 MDT 2022
| Command           : report_timing_summary -delay_type min_max -max_paths 10 -file timing_summary.rpt
| Design            : ddi_wrapper
| Device            : 7z020-clg484
{head}

Timing Summary Report

{head}
| Design Timing Summary
| ---------------------
{head}

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints  
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------  -------------------     --------     --------  ----------------------  --------------------  
{setup:>11} {0.0:>12.3f} {failing:>22} {180000:>20} {hold:>12} {0.0:>12.3f} {0:>22} {180000:>20} {pulse:>12} {0.0:>12.3f} {0:>23} {60000:>21}  


{said}


{head}
| Clock Summary
| -------------
{head}

Clock       Waveform(ns)         Period(ns)      Frequency(MHz)
-----       ------------         ----------      --------------
clk_fpga_0  {{0.000 {period / 2:.3f}}}        {period:.3f}           {clock_mhz:.3f}         


{head}
| Intra Clock Table
| -----------------
{head}

Clock             WNS(ns)      TNS(ns)  TNS Failing Endpoints
-----             -------      -------  ---------------------
clk_fpga_0 {setup:>14} {0.0:>12.3f} {failing:>22}
"""


def utilization(used=None, available=None, prohibited=True, star=""):
    """report_utilization's file; older tools have no column Prohibited."""
    used, available = {**PLACED, **(used or {})}, {**AVAILABLE, **(available or {})}

    def table(rows):
        columns = ["Site Type", "Used", "Fixed", *(["Prohibited"] if prohibited else []), "Available", "Util%"]
        cells = [[name, f"{count:g}", "0", *(["0"] if prohibited else []), str(have), f"{100 * count / have:.2f}"]
                 for name, count, have in rows]  # fmt: skip
        wide = [max(len(row[i]) for row in [columns, *cells]) for i in range(len(columns))]
        bar = "+" + "+".join("-" * (width + 2) for width in wide) + "+"
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, wide)) + " |" for row in cells]
        head = "| " + " | ".join(cell.center(width) for cell, width in zip(columns, wide)) + " |"
        return "\n".join([bar, head, bar, *lines, bar])

    rows = {
        "1. Slice Logic": [(f"Slice LUTs{star}", "lut"), ("  LUT as Logic", "lut"), ("Slice Registers", "ff")],
        "3. Memory": [("Block RAM Tile", "bram36"), ("  RAMB36/FIFO*", "bram36")],
        "4. DSP": [("DSPs", "dsp"), ("  DSP48E1 only", "dsp")],
    }
    text = "Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.\n| Design State : Routed\n\nUtilization Design Information\n"
    for title, lines in rows.items():
        sized = [(name, used[key], available[key]) for name, key in lines]
        text += f"\n{title}\n{'-' * len(title)}\n\n{table(sized)}\n"
    return text


def header(registers=None, keywords=("program",), leave_out=()):
    """The header with the engine's registers that HLS writes for drivers."""
    fixed = {"control": "AP_CTRL", "interrupt_global": "GIE", "interrupt_enable": "IER", "interrupt_status": "ISR"}
    fixed["return"] = "AP_RETURN"
    lines = [
        "// ==============================================================",
        "// control",
        "// 0x00 : Control signals",
    ]
    for name, (offset, words) in (isa.REGISTERS if registers is None else registers).items():
        if name in leave_out:
            continue
        stem = fixed.get(name, f"{name.upper()}{'_R' if name in keywords else ''}_DATA")
        lines.append(f"#define XDDI_ENGINE_CONTROL_ADDR_{stem:<24} 0x{offset:02x}")
        if name not in fixed or name == "return":
            lines.append(f"#define XDDI_ENGINE_CONTROL_BITS_{stem:<24} {32 * words}")
    return "\n".join(lines) + "\n"
