"""How far ahead weights must be asked for, and how long their queues must be: what a slow bus costs at other sizes.

    add_rows(rows)          # bench/dse.py: waits.ahead.BURSTS, waits.queue.WORDS

The chip's form of the sources runs with other sizes, as bench/networks/stalls.py has it, on images of the default
package at 74M FLOPs. The bus's model keeps what was asked for and has come, as an adapter with a buffer does; so the
bursts that are asked for ahead are what bridges its latency, and the queue behind it hands words on.
"""

from bench.networks.stalls import IMAGES, LATENCIES, iterations
from bench.packages import PACKAGES, PAPER_BUDGET, fingerprint
from data.datasets import load_sample
from hls import isa
from hls.package import read

NAME = "fashion-mnist"
FILE = "chip/fetch.hpp"
KINDS = {  # what is swept → (its text in FILE, what is put there, sizes)
    "ahead": ("fetcher.requests == kRequests", "fetcher.requests >= {}", (1, 2, 4, 8, 16, 32)),
    "queue": ("kQueueWords = 64;", "kQueueWords = {};", (1, 2, 4, 16, 64)),
}
SHIPPED = {"ahead": isa.READ_REQUESTS, "queue": 64}
TEXTS = {"ahead": "bursts asked for ahead, a port", "queue": "words in a port's queue"}


def swept(package, images, kind, sizes, latencies=(0, *LATENCIES)):
    """(size, {latency: share by which the main loop takes longer than the shipped one on a prompt bus}) of each."""
    old, new, _ = KINDS[kind]
    prompt = iterations(package, images, PAPER_BUDGET, 0)
    for size in sizes:
        changes = ((FILE, old, new.format(size)),)
        late = {latency: iterations(package, images, PAPER_BUDGET, latency, changes) for latency in latencies}
        yield size, {latency: count / prompt - 1 for latency, count in late.items()}


def add_rows(rows):
    """A row for each size: the worst of LATENCIES, and each of them."""
    package, (images, _), sha256 = read(PACKAGES / f"{NAME}.npz"), load_sample(), fingerprint(NAME)
    for kind, (*_, sizes) in KINDS.items():
        for size, found in swept(package, images[:IMAGES], kind, sizes):
            detail = {"size": size, "shipped": int(size == SHIPPED[kind])}
            detail |= {f"latency_{latency}": share for latency, share in found.items()}
            given = max(found.values()), "share", "simulated", IMAGES, sha256
            rows.add(f"waits.{kind}.{size}", *given, target=0.05, detail=detail)


def table(rows):
    """Time lost by each size, a line each."""
    lines = [f"| | size | at once | {' | '.join(f'{latency} cycles' for latency in LATENCIES)} | |"]
    lines.append("|---" * (4 + len(LATENCIES)) + "|")
    for kind, text in TEXTS.items():
        found = [row for name, row in rows.items() if name.startswith(f"waits.{kind}.")]
        for row in sorted(found, key=lambda row: row["detail"]["size"]):
            cells = [f"{row['detail'][f'latency_{latency}']:.1%}" for latency in (0, *LATENCIES)]
            lines.append(f"| {text} | {row['detail']['size']} | {' | '.join(cells)} "
                         f"| {'shipped' * row['detail']['shipped']} |")  # fmt: skip
    return lines if len(lines) > 2 else ["No rows yet: `python -m bench dse`."]
