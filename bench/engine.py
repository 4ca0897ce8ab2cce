"""How busy the engine is, how much of the FLOPs saved becomes cycles saved, and how fast its co-simulation is.

    python -m bench engine
    python -m bench engine --data fashion-mnist=DIR --json rows.jsonl

Cycles are those of the modelled schedule. Networks by shape have random weights (export/compile/shapes.py); the package
is packages/fashion-mnist.npz on its test images, or on the embedded sample without --data. Masks and skips at random
are priced, not run (bench/networks/walk.py). Speeds against ONNX Runtime: bench/networks/oracle_speed.py.
"""

import numpy as np

from bench.networks import oracle_speed, stalls
from bench.networks.walk import Walker, busy, overlapped, proportionality, total
from bench.packages import PACKAGES, PAPER_BUDGET, engine, fingerprint
from bench.sizes.targets import AIMS
from bitstreams import bounds
from data.datasets import load, load_sample
from export.compile.shapes import resnet, resnet8
from hls import isa
from hls.package import read
from hls.record import NO_BUDGET

NAME = "fashion-mnist"
CLOCKS_MHZ = 100, 143  # for a board's first build, and aimed at
BUDGETS = (30_000_000, 50_000_000, PAPER_BUDGET, NO_BUDGET)
DRAWS, SEED = 1000, 0
KEPT = 0.1, 0.9  # range of the probability that a channel or a layer is kept
PEERS = (("CGNet", 0.86), ("DPACS_lowest", 0.50), ("DPACS_highest", 1.03))  # published: realised ÷ theoretical saving


def run(rows, folders, options):
    """Add all rows."""
    package, sha256 = read(PACKAGES / f"{NAME}.npz"), fingerprint(NAME)
    folder = folders.get(NAME)
    images, _ = load(NAME, "test", folder) if folder else load_sample()
    images = images[: options.images or 1000]
    add_bounds(rows)
    add_priced(rows, package, sha256, images, options.threads)
    add_random(rows, package, sha256)
    stalls.add_rows(rows, package, sha256, images)
    for name, value in PEERS:
        rows.add(f"proportionality.{name}", value, "ratio", "cited", 1)
    oracle_speed.add_rows(rows, package, sha256, images)


def add_priced(rows, package, sha256, images, threads):
    """What the cost model and the engine's counters say: the same on every machine."""
    add_shapes(rows)
    results = {budget: engine(package, images, budget, threads) for budget in BUDGETS}
    add_package(rows, package, sha256, results)
    add_gates(rows, package, sha256)


def add_bounds(rows):
    """What the loops' memories, operators and ways round allow at most (docs/bounds.md)."""
    loops = [bound for bound in bounds.found() if bound.promised]
    gap, period = bounds.worst(loops)
    apart = sum(len(bound.open) for bound in loops)
    rows.add("bounds.worst_ii_gap", gap, "cycles", "modelled", len(loops), target=0)
    rows.add("bounds.worst_period_ns", period, "ns", "modelled", len(loops), target=AIMS["bounds.worst_period_ns"])
    rows.add("bounds.not_told_apart", apart, "memories", "modelled", len(loops), target=0)


def add_shapes(rows):
    """Networks without gates, run in full."""
    for depth in (74, 20):
        flops, cycles = total(Walker(resnet(depth).program).steps())
        name = f"array_busy.resnet{depth}"
        rows.add(name, busy(flops, cycles), "share", "modelled", 1, target=AIMS[name])
    add_rates(rows, "resnet8", resnet8(), target=2431, note="aim 3,800")
    add_rates(rows, "ic02", resnet8(filters=40), target=600)


def add_rates(rows, name, compiled, target, note=None):
    """Images a second of a network without gates at each clock, the target at the fastest; and MACs a cycle."""
    flops, cycles = total(Walker(compiled.program).steps())
    for clock in CLOCKS_MHZ:
        aims = {"target": target, "note": note} if clock == CLOCKS_MHZ[-1] else {}
        rows.add(f"{name}.images_per_s_{clock}MHz", clock * 1e6 / cycles, "images/s", "modelled", 1, **aims)
    rows.add(f"{name}.mac_per_cycle", flops / 2 / cycles, "MAC/cycle", "modelled", 1)


def add_package(rows, package, sha256, results):
    """The trained network under budgets. results: budget → Results."""
    paper = results[PAPER_BUDGET]
    value = busy(int(paper.flops.sum()), int(paper.cycles.sum()))
    rows.add("array_busy.ddi_74M", value, "share", "modelled", len(paper.flops), sha256, target=0.80)
    full = total(Walker(package.program).steps())
    for budget, found in results.items():
        ratios = image_ratios(found, full)
        at = "none" if budget == NO_BUDGET else f"{budget / 1e6:.0f}M"
        note = f"{NAME} at {at}"
        names = [f"proportionality.{{}}.{at}"] + ["proportionality.{}"] * (budget == PAPER_BUDGET)
        for name in names:
            add_spread(rows, name, ratios, sha256, note)


def image_ratios(results, full):
    """Proportionality of each image that saved anything against the (FLOPs, cycles) of a full run."""
    saved = results.flops < full[0]
    return proportionality(results.flops[saved], results.cycles[saved], *full)


def add_spread(rows, name, ratios, sha256, note):
    """Mean and 5th percentile; `name` has a place for which of them."""
    common = {"unit": "ratio", "kind": "modelled", "n": len(ratios), "package": sha256, "note": note}
    rows.add(name.format("mean"), float(np.mean(ratios)), target=AIMS["proportionality.mean"], **common)
    rows.add(name.format("p5"), float(np.percentile(ratios, 5)), target=AIMS["proportionality.p5"], **common)


def add_random(rows, package, sha256):
    """Decisions at random, with a probability of their own for each draw."""
    walker, rng = Walker(package.program), np.random.default_rng(SEED)
    full = total(walker.steps())
    for name, layers, channels in (("masks", False, 1), ("layers", True, 0), ("both", True, 1), ("pairs", False, 2)):
        ratios = np.array([random_ratio(walker, rng, full, layers, channels) for _ in range(DRAWS)])
        note = f"{NAME}, kept with a probability from {KEPT[0]:.0%} to {KEPT[1]:.0%}, seed {SEED}"
        label = "layers" if name == "layers" else f"random_{name}"
        add_spread(rows, f"proportionality.{label}.{{}}", ratios, sha256, note)
        value = float(np.mean(ratios))
        rows.add(f"proportionality.{label}", value, "ratio", "modelled", DRAWS, sha256, target=0.95, note=note)
    both = overlapped(walker.steps())
    ratios = [random_ratio(walker, rng, both, False, 1, overlapped) for _ in range(DRAWS)]
    note = f"{NAME}, if a layer were fetched, checked and filled while the one before it drains"
    rows.add("proportionality.overlapped", float(np.mean(ratios)), "ratio", "modelled", DRAWS, sha256, note=note)
    add_ceiling(rows, walker, sha256)


def add_ceiling(rows, walker, sha256):
    """What is reached where the convolutions' cycles go exactly with their FLOPs: all else has hardly any."""
    steps = walker.steps()
    convolutions, whole = total([step for step in steps if step.fields["opcode"] == isa.CONV]), total(steps)
    value = (convolutions[1] / whole[1]) / (convolutions[0] / whole[0])
    rows.add("proportionality.ceiling", value, "ratio", "modelled", 1, sha256, note=f"{NAME}, all gates open")


def random_ratio(walker, rng, full, layers, channels, spent=total):
    """Proportionality of one draw of layer skips, channel masks, or both; one that keeps everything is drawn again.

    `channels`: how many a mask keeps or closes together, 0 where it keeps all. `spent`: steps → (FLOPs, cycles).
    """
    while True:
        chance = rng.uniform(*KEPT)
        flops, cycles = spent(
            walker.steps(
                keep=lambda gate, chance=chance: not layers or rng.random() < chance,
                active=lambda gate, count, chance=chance: kept(rng, count, chance, channels),
            )
        )
        if flops < full[0]:
            return proportionality(flops, cycles, *full)


def kept(rng, count, chance, together):
    """Of `count` channels those that a random mask keeps, so many `together`: what is left over is a decision, too."""
    if not together:
        return count
    rest = count % together
    return together * int(rng.binomial(count // together, chance)) + (rest and rest * int(rng.binomial(1, chance)))


def add_gates(rows, package, sha256):
    """What deciding costs of a full image: all gates and exits."""
    walker = Walker(package.program)
    steps, parts = walker.steps(), walker.parts()
    deciding = [step for step in steps if parts[step.pc] != "network"]
    rows.add("gates.share", total(deciding)[1] / total(steps)[1], "share", "modelled", 1, sha256, target=0.20)
