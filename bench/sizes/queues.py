"""How long the queues between the DDR and the multipliers must be: time that a slow bus costs at other lengths.

    add_rows(rows)          # bench/dse.py: dse.queue.WORDS

The chip's form of the sources runs with queues of other lengths, as bench/networks/stalls.py has it, on images of the
default package at 74M FLOPs. What is not swept: the table's queue, which takes a group's rows.
"""

import re

from bench.networks.stalls import CHIP, IMAGES, LATENCIES, LOOP
from bench.packages import PACKAGES, PAPER_BUDGET, fingerprint
from data.datasets import load_sample
from hls import cosim
from hls.package import read
from hls.stress import trips

NAME = "fashion-mnist"
FILE, TEXT = "chip/fetch.hpp", r"kQueueWords = (\d+);"
WORDS = (4, 8, 16, 32, 64, 128)  # of a weight port's queue


def shipped():
    """Words of the shipped queue, as the sources say."""
    return int(re.search(TEXT, cosim.sources()[FILE].decode())[1])


def lost(package, images, words):
    """{latency: share by which the main loop takes longer with queues of so many words}."""
    text = TEXT.replace(r"(\d+)", "{}")
    changes = ((FILE, text.format(shipped()), text.format(words)),)
    data = package.program, package.weights, package.tables, images, package.start(budget_flops=PAPER_BUDGET)
    counts = {latency: trips.run(*data, flags=CHIP, changes=changes, bus=(latency, latency))[1][LOOP]
              for latency in (0, *LATENCIES)}  # fmt: skip
    prompt = trips.run(*data, flags=CHIP, bus=(0, 0))[1][LOOP]
    return {latency: count / prompt - 1 for latency, count in counts.items()}


def add_rows(rows):
    """A row for each length: the worst of LATENCIES, and each of them."""
    package, (images, _) = read(PACKAGES / f"{NAME}.npz"), load_sample()
    for words in WORDS:
        found = lost(package, images[:IMAGES], words)
        detail = {"words": words, "shipped": int(words == shipped())}
        detail |= {f"latency_{latency}": share for latency, share in found.items()}
        name, worst = f"dse.queue.{words}", max(found.values())
        rows.add(name, worst, "share", "simulated", IMAGES, fingerprint(NAME), target=0.05, detail=detail)


def table(rows):
    """Time lost by the length of the queues, a line a length."""
    lines = [f"| words a port | at once | {' | '.join(f'{latency} cycles' for latency in LATENCIES)} | |"]
    lines.append("|---" * (3 + len(LATENCIES)) + "|")
    found = sorted((row for name, row in rows.items() if name.startswith("dse.queue.")),
                   key=lambda row: row["detail"]["words"])  # fmt: skip
    for row in found:
        cells = [f"{row['detail'][f'latency_{latency}']:.1%}" for latency in (0, *LATENCIES)]
        lines.append(f"| {row['detail']['words']} | {' | '.join(cells)} | {'shipped' * row['detail']['shipped']} |")
    return lines if found else ["No rows yet: `python -m bench dse`."]
