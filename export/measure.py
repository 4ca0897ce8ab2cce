"""Accuracy at export: the float network and the int8 package, exit by exit, on the same images.

    accuracy, average = measure(network8, package, split, 1000, "validation", train)
    for text in surprises(accuracy): print(text)
    check_expected(accuracy, 91.7)

It needs the graph alone, so that any source can be measured. The int8 figures come from the C++ engine in
co-simulation, or, where no compiler is, from export/integers/integer.py, which computes the same integers
(tests/export/integers/test_integer.py) more slowly.
"""

import numpy as np
import torch

from export.compile.lower import stop_after
from export.float_network import FloatNetwork
from export.integers.integer import IntegerNetwork
from export.thresholds import search
from hls import cosim
from hls.errors import UserError
from hls.record import decode
from training.published.readings import HALF

ENTROPY_UNIT = 65536  # of the record, in a nat
SEARCHED = 5000  # images that thresholds are found on, where there are so many: the mean of few is too uncertain
SEEN = 512  # training images that the float network is measured on besides
GAP = 0.2  # between them and the others, above which something else is wrong than what training leaves
ROUNDING, INT8_LOSS = 0.05, 0.3  # percentage points: of a published figure, and what quantisation may cost


def measure(network8, package, split, count, part, train):
    """The meta's `accuracy` and `average` on the first `count` images of a split, which is called `part`.

    accuracy: shares of right labels per exit, of float and int8, mean FLOPs of int8, and `seen`: float on images of
    `train`. average: thresholds an exit for budgets on the average (export/thresholds.py); {} without a compiler or
    without exits.
    """
    count, seen = min(count, len(split)), min(SEEN, len(train))
    many = min(len(split), max(count, SEARCHED)) if len(package.exits) > 1 else count
    images = split.images[:many].permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C) uint8
    labels = split.labels[:many].numpy()
    flops, average = [], {}
    if _has_compiler():
        leaving = [run_engine(package, images, number) for number in range(len(package.exits))]
        answers = [results.label[:count] for results in leaving]
        flops = [round(float(results.flops[:count].mean())) for results in leaving]
        average = _average(package, leaving, labels)
    else:
        answers = [logits.argmax(1).numpy() for logits in _run_integers(network8, images[:count])]
    labels = labels[:count]
    accuracy = {
        "split": part,
        "images": count,
        "float": float_accuracy(network8.graph, split, count),
        "int8": [round(float((answer == labels).mean()), 4) for answer in answers],
        "int8_flops": flops,
        "int8_by": "co-simulation" if flops else "integer model",
        "seen": {"images": seen, "float": float_accuracy(network8.graph, train, seen)},
    }
    return accuracy, average


def float_accuracy(network, split, count):
    """Shares of right labels at each exit, of the float network on the first `count` images of a split."""
    run, hits = FloatNetwork(network), []
    for images, labels in split.plain_batches(250, count):
        hits.append(torch.stack([logits.argmax(1) == labels for logits in run(images).logits], 1))
    return [round(share, 4) for share in torch.cat(hits).double().mean(0).tolist()]


def surprises(accuracy, learnt=False):
    """Sentences on figures that do not go together; `learnt`: the network was trained elsewhere, to its end."""
    found, seen = accuracy["float"][-1], accuracy["seen"]["float"][-1]
    if learnt and seen < HALF:
        few = f"{seen:.1%} of {accuracy['seen']['images']} training images are right in float"
        return [f"{few}, few for images that a network has learnt: check --mean, --std, --data and the file"]
    if found >= seen - GAP:
        return []
    where = f"{found:.1%} of the {accuracy['split']} images are right in float"
    return [f"{where}, far fewer than the {seen:.1%} of images seen in training: are both of the same data set?"]


def check_expected(accuracy, percent):
    """Raises UserError where the end's accuracy is below `percent`: float by ROUNDING, int8 by INT8_LOSS more."""
    least = percent - ROUNDING
    found = {kind: 100 * accuracy[kind][-1] for kind in ("float", "int8")}
    if found["float"] < least or found["int8"] < least - INT8_LOSS:
        figures = f"float {found['float']:.2f} %, int8 {found['int8']:.2f} %"
        what = f"{accuracy['images']:,} {accuracy['split']} images"
        remedy = "low in float, the import is wrong; in int8 alone, the quantisation is"
        raise UserError(f"{figures} on {what}, --expect says {percent:g} %: nothing is written ({remedy})")


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
