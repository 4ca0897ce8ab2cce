"""The co-simulation's images a second over ONNX Runtime's, on the same networks and in the same minute.

Plain ResNets without skipping, int8 and float; and the dynamic package at 74M FLOPs against int8
on a whole ResNet-74, which its recipe begins with; the package itself has ten of these 36 blocks.
Runs take turns, so that what else the machine does falls on all alike; each figure is a median. ONNX Runtime may take
the better of its batch sizes. A graph that does not compute our network is an error.
"""

import statistics
import time

import numpy as np

from bench.networks.oracle import codes, onnx_of, open_session
from bench.packages import PAPER_BUDGET
from export.compile.draft import random_image
from export.compile.shapes import resnet
from hls import cosim
from hls.errors import UserError
from hls.record import Start, decode

DEPTHS, THREADS, BATCHES = (20, 74), (1, 2), (1, 64)
IMAGES, REPETITIONS, SEED = 64, 5, 0
LEAST_AGREEMENT = 0.85  # share of images with our label; roundings of halves differ
FULL = 74  # depth that the package's recipe begins with


def add_rows(rows, package, sha256, images):
    """Add the rows of all speeds."""
    for depth in DEPTHS:
        compiled = resnet(depth)
        sample = random_images(IMAGES)
        graphs = {kind: onnx_of(compiled, kind == "int8") for kind in ("int8", "float")}
        agreement = check_labels(compiled, graphs["int8"], sample)
        rows.add(f"cosim_over_ort.agreement.resnet{depth}", agreement, "share", "simulated", IMAGES)
        for threads in THREADS:
            runs = contestants(compiled, graphs, sample, threads)
            if depth == FULL:
                runs["package"] = package_run(package, images[:IMAGES], threads)
            speeds = in_turn(runs)
            for kind in graphs:
                add_ratio(rows, f"cosim_over_ort_{kind}.resnet{depth}.t{threads}", speeds, "cosim", kind)
            if depth == FULL:
                name = f"cosim_ddi_74M_over_ort_int8_full.t{threads}"
                add_ratio(rows, name, speeds, "package", "int8", sha256, target=2)
                if threads == 1:
                    name = "cosim_ddi_74M_over_ort_int8_full"
                    add_ratio(rows, name, speeds, "package", "int8", sha256, target=2)


def random_images(count):
    """(count, 32, 32, 3) uint8."""
    rng = np.random.default_rng(SEED)
    return np.stack([random_image(rng, 32) for _ in range(count)])


def check_labels(compiled, graph, images):
    """Share of images with the same label in both; UserError if it is small."""
    start = Start(gates=0, classes=compiled.classes, map_words=compiled.map_words)
    ours = decode(cosim.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    theirs = open_session(graph, 1).run(None, {"codes": codes(compiled, images)})[0]
    agreement = float((theirs.argmax(1) == ours.label).mean())
    if agreement < LEAST_AGREEMENT:
        text = f"{agreement:.0%} of the labels, expected at least {LEAST_AGREEMENT:.0%}"
        raise UserError(f"ONNX Runtime agrees with the engine on {text}: bench/networks/oracle.py builds another")
    return agreement


def contestants(compiled, graphs, images, threads):
    """Name → a function that runs all images once."""
    start = Start(gates=0, classes=compiled.classes, map_words=compiled.map_words)
    arrays = compiled.program, compiled.weights, compiled.tables
    runs = {"cosim": lambda: cosim.run(*arrays, images, start, threads)}
    inputs = codes(compiled, images)
    for kind, graph in graphs.items():
        session = open_session(graph, threads)
        for batch in BATCHES:
            runs[f"{kind} {batch}"] = ort_run(session, inputs, batch)
    return runs


def ort_run(session, inputs, batch):
    """A function that runs all inputs in batches."""
    parts = [np.ascontiguousarray(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]

    def run():
        for part in parts:
            session.run(None, {"codes": part})

    return run


def package_run(package, images, threads):
    """A function that runs the package on the images under the paper's budget."""
    map_words = getattr(package, "map_words", 0)
    start = Start(package.gates, package.classes, budget_flops=PAPER_BUDGET, map_words=map_words)
    return lambda: cosim.run(package.program, package.weights, package.tables, images, start, threads)


def in_turn(runs):
    """Name → images a second, one figure a repetition; every run once before, uncounted."""
    speeds = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(REPETITIONS):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            speeds[name].append(IMAGES / (time.perf_counter() - begin))
    return speeds


def ratios(speeds, ours, theirs):
    """Speed of `ours` over that of the run with the best median among those called `theirs …`, a ratio a repetition."""
    found = [name for name in speeds if name.split()[0] == theirs]
    best = max(found, key=lambda name: statistics.median(speeds[name]))
    return [mine / other for mine, other in zip(speeds[ours], speeds[best])]


def median_ratio(speeds, ours, theirs):
    """Median speed of `ours` over the best median among the runs called `theirs …`."""
    best = max(statistics.median(found) for name, found in speeds.items() if name.split()[0] == theirs)
    return statistics.median(speeds[ours]) / best


def add_ratio(rows, name, speeds, ours, theirs, package=None, target=None):
    """Add one row, with the least and the greatest ratio of a repetition."""
    value, each = median_ratio(speeds, ours, theirs), ratios(speeds, ours, theirs)
    detail = {"lowest": min(each), "highest": max(each)}
    rows.add(name, value, "ratio", "measured", REPETITIONS, package, target=target, detail=detail)
