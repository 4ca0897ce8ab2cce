"""A graph in integers as a package: compiled, described, priced.

package = build(network8, Source(name, dataset, mean, std, classes, training), accuracy)
"""

from dataclasses import dataclass, field, replace

import numpy as np

from export import graph
from export.compile.lower import lower
from hls import cost, isa
from hls.errors import UserError
from hls.package import FORMAT, Package
from hls.program import decode


@dataclass(frozen=True)
class Source:
    """Where a network comes from, as the package's meta tells it."""

    name: str
    dataset: str
    mean: tuple  # per channel, pixels in [0, 1]
    std: tuple
    classes: tuple  # names
    training: dict
    images: dict = field(default_factory=dict)  # how pictures of one's own are read (data.parts.About.stored)


def build(network8, source, accuracy, average=None, class_exits=None):
    """The Package of a Network8. Raises UserError when it does not fit the engine or its classes.

    The network may have class exits (training/class_exits/): `class_exits` says by class how each was chosen. A program
    for each of them stands beside that of the network without any.
    """
    whole, network8 = network8, for_class(network8)
    network = network8.graph
    if network.classes != len(source.classes):
        names = f"{source.dataset} has {len(source.classes)} ({', '.join(source.classes[:3])} …)"
        raise UserError(f"the network tells {network.classes} classes apart, {names}: give the data it was trained on")
    compiled = lower(network8)
    variants, items = _variants(whole, compiled, source, class_exits or {})
    last = variants[-1] if variants else compiled
    meta = {
        "format": FORMAT,
        "isa": isa.HASH,
        "name": source.name,
        "architecture": network.name,
        "dataset": source.dataset,
        "input": _input(network8, source),
        "classes": list(source.classes),
        "exits": _exits(network, compiled),
        "gates": _gates(network),
        "map_words": compiled.map_words,
        "steps": network8.steps,
        "training": source.training,
        "accuracy": accuracy,
        "average": average or {},
    }
    if not variants:
        return Package(compiled.program, compiled.weights, compiled.tables, meta)
    programs = np.concatenate([one.program for one in variants])
    return Package(compiled.program, last.weights, last.tables, meta | {"class_exits": items}, variants=programs)


def for_class(network8, target=None):
    """The Network8 with the class exits of one class, or with none; numbers of all other nodes are the same."""
    network = network8.graph
    if not network.class_exits:
        return network8
    chosen = graph.for_class(network, target)
    pairs = zip(chosen.class_exits, (item for item in network.class_exits if item.target == target))
    return replace(
        network8, graph=chosen, numbers=network8.numbers | {new: network8.numbers[old] for new, old in pairs}
    )


def _variants(whole, compiled, source, chosen):
    """(a Compiled for each class that has exits, each beginning with the weights before; their entries in meta)."""
    made, items, first = [], [], 0
    for target in sorted({item.target for item in whole.graph.class_exits}):
        network8 = for_class(whole, target)
        made.append(lower(network8, before=(made or [compiled])[-1]))
        network, count = network8.graph, len(made[-1].program)
        items.append(
            {
                "name": source.classes[target],
                "class": target,
                "first": first,
                "count": count,
                "exits": _exits(network, made[-1]),
                "gates": _gates(network),
                "map_words": made[-1].map_words,
                "chosen": chosen.get(target, {}),
            }
        )
        first += count
    return made, items


def _gates(network):
    return [{"block": gate.unit, "stage": gate.stage, "channels": gate.channels} for gate in network.gates]


def _input(network8, source):
    image = network8.graph.image
    mean, std = ([float(value) for value in values] for values in (source.mean, source.std))
    sizes = {"height": image.size[0], "width": image.size[1], "channels": image.channels}
    found = {**sizes, "mean": mean, "std": std, "step": network8.steps["image"]}
    return {**found, "images": source.images} if source.images else found


def _exits(network, compiled):
    """Per exit the budget that is always enough, and its classifier's own cost."""
    program, exits = compiled.program, []
    nodes = [node for node in network.nodes if isinstance(node, (graph.Exit, graph.ClassExit))]
    for worst, node, start in zip(cost.worst_case(program), nodes, _starts(program, compiled.end), strict=True):
        own = cost.classifier_cost(program, start)
        own = {"classifier_flops": own.flops, "classifier_cycles": own.cycles}
        found = {"name": _name(network, node, worst.exit), "block": max(node.unit, 0)}
        found |= {"flops": worst.flops, "cycles": worst.cycles, **own}
        exits.append(found | ({"class": node.target} if isinstance(node, graph.ClassExit) else {}))
    return exits


def _starts(program, end):
    """Where the classifier of each exit begins: a TAP's elsewhere, a class exit's in its gate's body."""
    for pc, words in enumerate(program[:end]):
        if words[0] == isa.TAP:
            yield decode(words)["target"]
        elif words[0] == isa.GATE_LAYER and program[decode(words)["target"] - 1, 0] == isa.EXIT:
            yield pc + 1
    yield end


def _name(network, node, number):
    if node is network.exits[-1]:
        return "end"
    place = f"after block {node.unit}" if node.unit >= 0 else "after the stem"
    return f"{'class exit' if isinstance(node, graph.ClassExit) else 'exit'} {number}, {place}"
