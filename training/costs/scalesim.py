"""Counts of memory accesses by SCALE-Sim, kept as data: training/costs/accesses.csv.

    python -m training.costs.scalesim RECIPE.toml … --python scale/bin/python

`scale` is a virtual environment with scalesim==3.0.0 and numpy<2.4, which need no place in the project's own. Takes the
layers of recipes' networks that the file does not have yet, gates and all, simulates each of them alone and
adds their rows. The accelerator is Eyeriss-like: 12 × 14 units, weights stationary, 108 KB each for inputs, weights and
outputs, as large as needs be between chip and main memory. SCALE-Sim knows no padding, so that maps are handed over
with theirs.
"""

import argparse
import csv
import io
import subprocess
import tempfile
from pathlib import Path

import torch

from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from hls.command.outputs import write
from hls.errors import UserError
from training.costs.counting import operations
from training.costs.energy import ACCESSES, COUNTS, SHAPE, accesses, shape_of
from training.recipe import read

CONFIG = """[general]
run_name = run
[architecture_presets]
ArrayHeight = 12
ArrayWidth = 14
IfmapSramSzkB = 108
FilterSramSzkB = 108
OfmapSramSzkB = 108
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 10
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
FilterCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
SparseRep = ellpack_block
OptimizedMapping = false
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
TOPOLOGY = "Layer, IFMAP height, IFMAP width, Filter height, Filter width, Channels, Filters, Stride, Sparsity,\n"
PROGRAM = """import sys
from scalesim.scale_sim import scalesim
config, topology, layout, out = sys.argv[1:]
scalesim(True, False, config, topology, layout, False).run_scale(top_path=out)
"""
REPORTED = ("SRAM IFMAP Reads", "SRAM Filter Reads", "SRAM OFMAP Writes")
MAIN = ("DRAM IFMAP Reads", "DRAM Filter Reads", "DRAM OFMAP Writes")


def main(argv=None):
    """The command. Returns its exit code."""
    parser = Parser(
        prog="python -m training.costs.scalesim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipes", nargs="+", type=Path, help="recipes whose networks' layers are wanted")
    parser.add_argument("--python", type=Path, required=True, help="of an environment that has scalesim 3.0.0")
    parser.add_argument("--classes", type=Whole(2, 1000), default=10, help="classes of the data set")
    parser.add_argument("--size", type=Whole(8, 1024), default=32, help="height and width of its images")
    options = parser.parse_args(argv)
    return guarded("scalesim", lambda: add(options), "interrupted: what was simulated is kept")


def add(options):
    """Simulate the layers that are missing, one row after the other. Raises UserError."""
    shapes = set()
    for recipe in options.recipes:
        shapes |= shapes_of(read(recipe).network, options.classes, (options.size,) * 2)
    found = dict(accesses()) if ACCESSES.exists() else {}
    missing = sorted(shapes - set(found))
    for number, shape in enumerate(missing):
        print(f"{number + 1} of {len(missing)}: {dict(zip(SHAPE, shape))}", flush=True)
        found[shape] = simulate(shape, options.python)
        write(ACCESSES, table(found))
    return 0


def shapes_of(network, classes, size):
    """The shapes of a network's layers, with its gates."""
    model = network.build(classes, 3, size).eval()
    with torch.no_grad():
        out = model(torch.zeros(1, 3, *size), with_exits=False)
    found = {shape_of(operation) for operation, _ in operations(out.parts)}
    return found - {None}


def simulate(shape, python):
    """The COUNTS of a layer. Raises UserError where SCALE-Sim does not run."""
    height, width, kernel, stride, inputs, outputs = shape
    sizes = [height + kernel // 2 * 2, width + kernel // 2 * 2, kernel, kernel, inputs, outputs, stride]
    with tempfile.TemporaryDirectory() as folder:
        files = {"run.cfg": CONFIG, "layer.csv": f"{TOPOLOGY}layer,{','.join(map(str, sizes))},1:1,\n"}
        files["layout.csv"] = "Layer,\n" + ",".join(["layer", *["1"] * 20]) + ",\n"
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [str(python.absolute()), "-c", PROGRAM, *files, "."]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        reports = list(Path(folder).glob("**/DETAILED_ACCESS_REPORT.csv"))
        if run.returncode or not reports:
            last = (run.stderr.strip() or run.stdout.strip() or "no report").splitlines()[-1]
            raise UserError(f"SCALE-Sim failed on a layer of {shape}: {last}")
        (row,) = csv.DictReader(io.StringIO(reports[0].read_text(encoding="utf-8")), skipinitialspace=True)
    sram, dram = ([round(float(row[name])) for name in names] for names in (REPORTED, MAIN))
    return sum(sram[:2]), sram[2], sum(dram[:2]), dram[2]


def table(found):
    """The file's text."""
    lines = ["# python -m training.costs.scalesim RECIPE.toml … --python VENV/bin/python (scalesim 3.0.0)"]
    lines.append(",".join((*SHAPE, *COUNTS)))
    lines += [",".join(map(str, (*shape, *found[shape]))) for shape in sorted(found)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
