"""Accuracy at export: the float network and the int8 package, exit by exit, on the same validation images.

    accuracy, average = measure(model, network8, package, split, 1000)

The int8 figures come from the C++ engine in co-simulation, or, where no compiler is, from export/integer.py, which
computes the same integers (tests/export/test_integer.py) more slowly.
"""

import numpy as np
import torch

from export.compile.lower import stop_after
from export.integer import IntegerNetwork
from export.thresholds import search
from hls import cosim
from hls.record import decode
from training.evaluate import evaluate

ENTROPY_UNIT = 65536  # of the record, in a nat


def measure(model, network8, package, split, count):
    """The meta's `accuracy` and `average` on the first `count` images of a split.

    accuracy: shares of right labels and mean FLOPs per exit, of float and int8. average: thresholds an exit for budgets
    on the average (export/thresholds.py); {} without a compiler or without exits.
    """
    count = min(count, len(split))
    figures = evaluate(model, split, limit=count)
    images = split.images[:count].permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C) uint8
    labels = split.labels[:count].numpy()
    flops, average = [], {}
    if _has_compiler():
        leaving = [run_engine(package, images, number) for number in range(len(package.exits))]
        answers = [results.label for results in leaving]
        flops = [round(float(results.flops.mean())) for results in leaving]
        average = _average(package, leaving, labels)
    else:
        answers = [logits.argmax(1).numpy() for logits in _run_integers(network8, images)]
    shares = [round(float((answer == labels).mean()), 4) for answer in answers]
    accuracy = {
        "split": "validation",
        "images": count,
        "float": figures["accuracy_at"],
        "float_flops": figures["flops_at"],
        "int8": shares,
        "int8_flops": flops,
        "int8_by": "co-simulation" if flops else "integer model",
    }
    return accuracy, average


def _average(package, leaving, labels):
    """Thresholds, from the records of all images leaving at each exit in turn."""
    if len(leaving) < 2:
        return {}
    classifiers = np.cumsum([0, *(item["classifier_flops"] for item in package.exits[:-1])])  # of the exits before
    entropy = np.stack([np.round(results.entropy * ENTROPY_UNIT).astype(int) for results in leaving], 1)
    right = np.stack([results.label == labels for results in leaving], 1)
    spent = np.stack([results.flops for results in leaving], 1) + classifiers
    return {"images": len(labels), **search(entropy, right, spent)}


def _has_compiler():
    try:
        return bool(cosim.compiler())
    except cosim.CosimError:
        return False


def run_engine(package, images, number):
    """Results of the C++ engine on (N, H, W, C) uint8 images, all of which leave at exit `number`."""
    start = package.start()
    program = stop_after(package.program, number)
    return decode(cosim.run(program, package.weights, package.tables, images, start), start)


def _run_integers(network8, images, batch=100):
    model = IntegerNetwork(network8)
    parts = [model(images[i : i + batch]).logits for i in range(0, len(images), batch)]
    return [torch.cat(logits) for logits in zip(*parts)]
