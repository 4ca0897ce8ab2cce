"""Where the time of each committed package goes, and where its integers differ from its floats.

    python -m bench where                                    # the embedded sample's package, without its source
    python -m bench where --data cifar10=DIR --data fashion-mnist=DIR

Rows, a package: where.PACKAGE.sums_differ (images whose instructions, as host/layers/ reads them from the record, do
not sum up to its FLOPs, cycles and bytes), .gate_share and .exit_share of all cycles, .array_busy; .lowest_cosine of a
layer between floats and integers, .layers_beyond_bound (of those whose own rounding does not explain their error),
.decisions_flip and .labels_differ at the end, .words_differ (images whose records the golden model and the engine
write otherwise).
"""

from argparse import Namespace

import numpy as np
import torch

from bench.packages import PACKAGES, engine, fingerprint
from data.datasets import load_sample
from data.labelled import test_images
from export.__main__ import job_of
from export.check.layers import compare
from export.check.records import first_difference
from export.check.source import check_made
from export.compile.lower import lower
from export.packing import in_integers
from hls import cosim, golden
from hls.errors import UserError
from hls.package import read
from hls.record import NO_BUDGET
from host.job import DEFAULT
from host.layers.labels import EXIT, GATE
from host.layers.table import busy, layers
from host.layers.walk import Walk

TIMED, COMPARED, RECORDS = 200, 64, 4  # images


def run(rows, folders, options):
    """Add the rows of every package in packages/."""
    torch.set_num_threads(options.threads)
    for path in sorted(PACKAGES.glob("*.npz")):
        package, sha256 = read(path), fingerprint(path.stem)
        folder = folders.get(package.dataset)
        if not folder and package.dataset != DEFAULT:
            continue
        images = test_images(package, folder)[0] if folder else load_sample()[0]
        time_rows(rows, path.stem, sha256, package, images[: options.images or TIMED])
        if folder:
            difference_rows(rows, path.stem, sha256, package, PACKAGES / "checkpoints" / f"{path.stem}.pt", folder)


def time_rows(rows, name, sha256, package, images):
    """What host/layers/ says of the images, without a budget."""
    start, n = package.start(), len(images)
    results = engine(package, images, NO_BUDGET, 1)
    walk = Walk(package, start)
    differ = sum(not _sums_up(walk, results, index, image) for index, image in enumerate(images))
    rows.add(f"where.{name}.sums_differ", differ, "images", "simulated", n, sha256, target=0)
    if differ:
        return
    found = layers(package, start, results, images)
    for part in (GATE, EXIT):
        share = sum(row["share"] for row in found if row["part"] == part)
        rows.add(f"where.{name}.{part}_share", share, "share", "modelled", n, sha256)
    sums = {key: sum(row[key] for row in found) for key in ("flops", "cycles")}
    rows.add(f"where.{name}.array_busy", busy(sums), "share", "modelled", n, sha256)


def _sums_up(walk, results, index, image):
    """Whether the instructions of one image do."""
    try:
        return bool(walk.steps(results, index, image))
    except UserError:
        return False


def difference_rows(rows, name, sha256, package, source, folder):
    """What export/check/ says on validation images; folder: of the set that the package was trained on."""
    given = {"checkpoint": source, "weights": None, "data": folder, "exits": None, "mean": None, "std": None}
    job = job_of(Namespace(**given))
    network8 = in_integers(job.network, job.source, job.parts)
    check_made(package, lower(network8), source)
    held = job.parts.held_out
    pixels = held.images[:COMPARED].permute(0, 2, 3, 1).contiguous().numpy()
    found = compare(network8, pixels, held.normalise(held.images[:COMPARED]))
    n, (one, other) = len(pixels), found.labels
    lowest, beyond = min(layer.cosine for layer in found.layers), sum(layer.beyond.any() for layer in found.layers)
    rows.add(f"where.{name}.lowest_cosine", lowest, "cosine", "simulated", n, sha256)
    rows.add(f"where.{name}.layers_beyond_bound", int(beyond), "layers", "simulated", n, sha256, target=0)
    flips = float(np.mean([gate["share"] for gate in found.flips])) if found.flips else 0.0
    rows.add(f"where.{name}.decisions_flip", flips, "share", "simulated", n, sha256)
    rows.add(f"where.{name}.labels_differ", float((one[-1] != other[-1]).mean()), "share", "simulated", n, sha256)
    start = package.start()
    arrays = package.program, package.weights, package.tables, pixels[:RECORDS], start
    difference = first_difference(golden.run(*arrays), cosim.run(*arrays), start)
    differ = difference.images if difference else 0
    rows.add(f"where.{name}.words_differ", differ, "images", "simulated", RECORDS, sha256, target=0)
