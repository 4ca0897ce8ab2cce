"""Other sizes of the engine: images a second against what they take of the chip, and why the shipped ones were taken.

    python -m bench dse

Sweeps the array (output channels × taps at once), products a DSP, tile memory, the lanes' memory, and by themselves the
drain, the ports of the weights and the clock, through the cost model (bench/sizes/variants.py) and the estimate of
resources (hls/estimate/resources.py; bench/sizes/chips.py for sizes that the sources do not support), for the
committed package's images at their own decisions and for DenseNet-201, whose maps do not fit the chip; and how far
ahead weights are asked for, and their queues, by what a slow bus then costs (bench/sizes/queues.py). `python -m
bench.documents` makes docs/dse.md and docs/dse.svg of the rows.
"""

import contextlib
import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.packages import PACKAGES, engine, fingerprint
from bench.sizes import chips, queues
from bench.sizes.page import LARGE, OWN
from bench.sizes.variants import ask, entry, unchanged, variant
from data.datasets import load_sample
from export.compile.layout import LowerError
from export.compile.shapes import densenet201
from hls import isa
from hls.package import read
from hls.record import NO_BUDGET

NAME = "fashion-mnist"
IMAGES = 32
ARRAYS = ((1, 3), (2, 1), (2, 2), (isa.OUT_LANES, isa.ROW_TAPS), (4, 1), (4, 3), (6, 1))  # lanes, taps
TILE_WORDS = (2048, 4096, isa.TILE_WORDS)
LANE_BYTES = (isa.LANE_BYTES // 2, isa.LANE_BYTES)
ALONE = {"drain": (4, 16), "weight_ports": (1, 2)}  # where all else is as shipped
CLOCKS = (100, 125, 143)  # MHz; the others for the shipped sizes alone, for they change nothing but the rate
NAMES = {"lanes": "OUT_LANES", "taps": "ROW_TAPS", "tile_words": "TILE_WORDS", "lane_bytes": "LANE_BYTES",
         "drain": "DRAIN", "weight_ports": "WEIGHT_PORTS"}  # of hls/isa.toml  # fmt: skip
MEMORIES = ("tile_words", "lane_bytes")  # that the sources support in any size
WORKERS = 2


def run(rows, folders, options):
    """Add a row for every point."""
    package, sha256 = read(PACKAGES / f"{NAME}.npz"), fingerprint(NAME)
    images, _ = load_sample()
    traces = engine(package, images[:IMAGES], NO_BUDGET, options.threads).trace.tolist()
    with unchanged(), tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(WORKERS) as pool:
        programs = {words: question(package, traces, words, Path(scratch)) for words in TILE_WORDS}
        memories = list(itertools.product(TILE_WORDS, LANE_BYTES))
        parts = dict(zip(memories, pool.map(chip_parts, memories)))
        found = list(pool.map(lambda sizes: rates(sizes, programs[sizes["tile_words"]]), points()))
    for sizes, cycles in zip(points(), found):
        for packing in packings(sizes["lanes"]):
            taken = chips.scaled(parts[tuple(sizes[name] for name in MEMORIES)], sizes, packing)
            point = {**sizes, "packing": packing}
            for clock in CLOCKS if point == OWN else CLOCKS[-1:]:
                add_point(rows, {**point, "clock_mhz": clock}, cycles, taken, sha256)
    queues.add_rows(rows)


def points():
    """The sizes that are swept, without the products of a DSP: dicts with the keys of NAMES."""
    found = []
    for (lanes, taps), tile_words, lane_bytes in itertools.product(ARRAYS, TILE_WORDS, LANE_BYTES):
        sizes = {"lanes": lanes, "taps": taps, "tile_words": tile_words, "lane_bytes": lane_bytes}
        found.append({name: sizes.get(name, OWN[name]) for name in NAMES})
    shipped = {name: OWN[name] for name in NAMES}
    return found + [{**shipped, name: value} for name, values in ALONE.items() for value in values]


def packings(lanes):
    """Products of a DSP: two need two output channels for one pixel."""
    return (1, 2) if lanes % 2 == 0 else (1,)


def question(package, traces, tile_words, folder):
    """The two programs as bench/sizes/worker.py reads them; the large one compiled for so much tile memory."""
    asked = {NAME: entry(package, traces, folder / f"{NAME}.npz")}
    with contextlib.suppress(LowerError):  # it needs more: the point has no rate for it
        asked[LARGE] = entry(densenet201(tile_words=tile_words), [[]], folder / f"{LARGE}-{tile_words}.npz")
    return asked


def rates(sizes, programs):
    """Program → cycles of an image with these sizes, None where it does not fit."""
    with variant({NAMES[name]: value for name, value in sizes.items()}) as folder:
        return ask(folder, {"programs": programs, "resources": False})["cycles"]


def chip_parts(memories):
    """The parts (bench/sizes/chips.py) of the sources with these sizes of MEMORIES."""
    with variant({NAMES[name]: size for name, size in zip(MEMORIES, memories)}) as folder:
        return ask(folder, {"programs": {}, "resources": True})["parts"]


def add_point(rows, sizes, cycles, taken, sha256):
    """Add one row: the package's images a second, with all else in its detail."""
    rate = {name: sizes["clock_mhz"] * 1e6 / count if count else 0.0 for name, count in cycles.items()}
    detail = {**sizes, "scaled": chips.is_scaled(sizes), "densenet201_images_per_s": rate.get(LARGE, 0.0), **taken}
    texts = [f"{sizes['lanes']}x{sizes['taps']}x{sizes['packing']}"]
    texts += [str(sizes[name]) for name in (*MEMORIES, *ALONE)] + [f"{sizes['clock_mhz']}MHz"]
    rows.add(f"dse.{'.'.join(texts)}", rate[NAME], "images/s", "modelled", IMAGES, sha256, detail=detail)
