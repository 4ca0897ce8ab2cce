"""Other sizes of the engine: images a second against what they take of the chip, and why the shipped ones were taken.

    python -m bench dse

Sweeps lanes, products a DSP, tile memory, the lanes' memory and the clock through the cost model (bench/variants.py)
and the resource estimate (hls/resources.py), for the committed package's images at their own decisions and for
DenseNet-201, whose maps do not fit the chip. `python -m bench.documents` makes docs/dse.md and docs/dse.svg of the
rows.
"""

import contextlib
import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path

import numpy as np

from bench.dse_page import LARGE
from bench.packages import PACKAGES, engine, fingerprint
from bench.variants import ask, variant
from data.datasets import load_sample
from export.layout import LowerError
from export.shapes import densenet201
from hls import isa
from hls.fabric import dsp
from hls.package import read
from hls.record import NO_BUDGET

NAME = "fashion-mnist"
IMAGES = 32
LANES = (2, 4, isa.OUT_LANES, 8)
TILE_WORDS = (2048, 4096, isa.TILE_WORDS)
LANE_BYTES = (isa.LANE_BYTES // 2, isa.LANE_BYTES)
PACKINGS = (1, 2)  # products of a DSP
CLOCKS = (100, 125, 143)  # MHz
PIXEL_BITS, WEIGHT_BITS = 9, 8
WORKERS = 2


def run(rows, folders, options):
    """Add a row for every point."""
    package, sha256 = read(PACKAGES / f"{NAME}.npz"), fingerprint(NAME)
    images, _ = load_sample()
    traces = engine(package, images[:IMAGES], NO_BUDGET, options.threads).trace.tolist()
    with tempfile.TemporaryDirectory() as scratch:
        programs = {words: question(package, traces, words, Path(scratch)) for words in TILE_WORDS}
        sizes = list(itertools.product(LANES, TILE_WORDS, LANE_BYTES))
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(lambda size: evaluate(size, programs[size[1]]), sizes))
    for size, found in zip(sizes, answers):
        for packing, clock in itertools.product(PACKINGS, CLOCKS):
            add_point(rows, size, packing, clock, found, sha256)


def question(package, traces, tile_words, folder):
    """The two programs as bench/variant_worker.py reads them; the large one compiled for so much tile memory."""
    asked = {NAME: entry(package, traces, folder / f"{NAME}.npz")}
    with contextlib.suppress(LowerError):  # it needs more: the point has no rate for it
        asked[LARGE] = entry(densenet201(tile_words=tile_words), [[]], folder / f"{LARGE}-{tile_words}.npz")
    return asked


def entry(compiled, traces, file):
    """One program of a question, its instructions in a file; a package or a Compiled."""
    np.savez(file, program=compiled.program)
    sizes = len(compiled.program), len(compiled.weights), len(compiled.tables), prod(compiled.image_shape)
    limits = [*sizes, compiled.gates, compiled.classes, compiled.map_words]
    return {"file": str(file), "limits": limits, "traces": traces}


def evaluate(size, programs):
    """The answer for one (lanes, tile words, lane bytes)."""
    lanes, tile_words, lane_bytes = size
    sizes = {"OUT_LANES": lanes, "COLUMNS": lanes // 2, "TILE_WORDS": tile_words, "LANE_BYTES": lane_bytes}
    with variant(sizes) as folder:
        return ask(folder, {"programs": programs, "resources": True})


def taken(found, lanes, packing):
    """Resource → amount; with one product a DSP every multiplication has its own."""
    total = dict(found["resources"])
    if packing == 1:
        total["dsp"] += lanes * isa.TILE**2 * dsp(PIXEL_BITS, WEIGHT_BITS) - found["packed_dsp"]
    return total


def add_point(rows, size, packing, clock, found, sha256):
    """Add one row: the package's images a second, with all else in its detail."""
    lanes, tile_words, lane_bytes = size
    rate = {name: clock * 1e6 / cycles if cycles else 0.0 for name, cycles in found["cycles"].items()}
    detail = {
        "lanes": lanes,
        "packing": packing,
        "tile_words": tile_words,
        "lane_bytes": lane_bytes,
        "clock_mhz": clock,
    }
    detail |= {"densenet201_images_per_s": rate.get(LARGE, 0.0), **taken(found, lanes, packing)}
    name = f"dse.{lanes}x{packing}.{tile_words}.{lane_bytes}.{clock}MHz"
    rows.add(name, rate[NAME], "images/s", "modelled", IMAGES, sha256, detail=detail)
