"""A quantised network as a package: compiled, described, priced.

package = build(network8, Source(name, architecture, dataset, mean, std, classes, training), accuracy)
"""

from dataclasses import dataclass

import numpy as np

from export.compile.lower import lower
from hls import cost, isa
from hls.package import FORMAT, Package
from hls.program import decode


@dataclass(frozen=True)
class Source:
    """Where a network comes from, as the package's meta tells it."""

    name: str
    architecture: str
    dataset: str
    mean: tuple  # per channel, pixels in [0, 1]
    std: tuple
    classes: tuple  # names
    training: dict


def architecture(network):
    """The usual name of a folded network: resnet74, or resnet74-ddi with gates or exits."""
    return f"resnet{network.depth}" + ("-ddi" if network.gates or network.exits else "")


def build(network, source, accuracy):
    """The Package of a Network8. Raises LowerError when it does not fit the engine."""
    compiled = lower(network)
    meta = {
        "format": FORMAT,
        "isa": isa.HASH,
        "name": source.name,
        "architecture": source.architecture,
        "dataset": source.dataset,
        "input": _input(network, source),
        "classes": list(source.classes),
        "exits": _exits(network.shape, compiled.program),
        "gates": [_gate(network.shape, i) for i in network.shape.gates],
        "map_words": compiled.map_words,
        "scales": network.scales,
        "training": source.training,
        "accuracy": accuracy,
    }
    return Package(compiled.program, compiled.weights, compiled.tables, meta)


def _input(network, source):
    size, channels = network.shape.size, len(network.image_table)
    mean, std = ([float(value) for value in values] for values in (source.mean, source.std))
    sizes = {"height": size, "width": size, "channels": channels}
    return {**sizes, "mean": mean, "std": std, "scale": network.scales["image"]}


def _gate(shape, i):
    return {"block": i, "stage": shape.blocks[i].stage, "channels": shape.blocks[i].channels}


def _exits(shape, program):
    """Per exit the budget that is always enough, and its classifier's own cost."""
    blocks, classifiers = [*shape.exits, len(shape.blocks) - 1], []
    for words in program[program[:, 0] == isa.TAP]:
        tap = decode(words)
        classifiers.append((tap["flops"], tap["cycles"]))
    last = int(np.argmax(program[:, 0] == isa.EXIT))  # the main stream's own: FC, EXIT, and what pools for them alone
    pools = int(program[last - 2][0]) == isa.GLOBAL_POOL
    classifiers.append(cost.classifier_cost(program, last - 1 - pools)[:2])
    exits = []
    for worst, block, (flops, cycles) in zip(cost.worst_case(program), blocks, classifiers):
        name = "end" if worst.exit == len(shape.exits) else f"exit {worst.exit}, after block {block}"
        own = {"classifier_flops": flops, "classifier_cycles": cycles}
        exits.append({"name": name, "block": block, "flops": worst.flops, "cycles": worst.cycles, **own})
    return exits
