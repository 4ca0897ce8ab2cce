"""What a slow bus costs the chip's main loop: its iterations, counted in the running code, with and without waiting.

    add_rows(rows, package, sha256, images)     # bench/engine.py

The bus is a model: a burst's first word comes a fixed number of cycles after it was asked for, its others one a cycle,
and bursts that were asked for meanwhile come behind them (hls/src/ports.hpp). So do a table's rows, one by one. It asks
nothing of the DDR's own order, nor what a late row costs the weights: one pipeline asks for both.
"""

from bench.packages import PAPER_BUDGET
from hls.stress import trips

CHIP = ("-DDDI_CHIP=1",)
LOOP = "RunMaps::MapCycles"
LATENCIES = (20, 40, 80)  # cycles
IMAGES = 4


def iterations(package, images, budget, latency, changes=()):
    """How often the main loop runs on a bus of that latency; `changes` of the sources: hls/stress/trips.py."""
    data = package.program, package.weights, package.tables, images, package.start(budget_flops=budget)
    return trips.run(*data, flags=CHIP, changes=changes, bus=(latency, latency))[1][LOOP]


def stalls(package, images, budget, latency):
    """Share by which the main loop takes longer for `images` under a budget, at that many cycles of latency."""
    prompt, late = (iterations(package, images, budget, each) for each in (0, latency))
    return late / prompt - 1


def add_rows(rows, package, sha256, images):
    """A row for each latency, and one for the worst."""
    found = {latency: stalls(package, images[:IMAGES], PAPER_BUDGET, latency) for latency in LATENCIES}
    for latency, share in found.items():
        rows.add(f"stalls.ddi_74M.{latency}_cycles", share, "share", "simulated", IMAGES, sha256)
    note = f"the worst of latencies of {', '.join(map(str, LATENCIES))} cycles"
    rows.add("stalls.ddi_74M", max(found.values()), "share", "simulated", IMAGES, sha256, target=0.05, note=note)
