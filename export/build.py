"""A graph in integers as a package: compiled, described, priced.

package = build(network8, Source(name, dataset, mean, std, classes, training), accuracy)
"""

from dataclasses import dataclass, field

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


def build(network8, source, accuracy, average=None):
    """The Package of a Network8. Raises UserError when it does not fit the engine or its classes."""
    network = network8.graph
    if network.classes != len(source.classes):
        names = f"{source.dataset} has {len(source.classes)} ({', '.join(source.classes[:3])} …)"
        raise UserError(f"the network tells {network.classes} classes apart, {names}: give the data it was trained on")
    compiled = lower(network8)
    meta = {
        "format": FORMAT,
        "isa": isa.HASH,
        "name": source.name,
        "architecture": network.name,
        "dataset": source.dataset,
        "input": _input(network8, source),
        "classes": list(source.classes),
        "exits": _exits(network, compiled),
        "gates": [{"block": gate.unit, "stage": gate.stage, "channels": gate.channels} for gate in network.gates],
        "map_words": compiled.map_words,
        "steps": network8.steps,
        "training": source.training,
        "accuracy": accuracy,
        "average": average or {},
    }
    return Package(compiled.program, compiled.weights, compiled.tables, meta)


def _input(network8, source):
    image = network8.graph.image
    mean, std = ([float(value) for value in values] for values in (source.mean, source.std))
    sizes = {"height": image.size[0], "width": image.size[1], "channels": image.channels}
    found = {**sizes, "mean": mean, "std": std, "step": network8.steps["image"]}
    return {**found, "images": source.images} if source.images else found


def _exits(network, compiled):
    """Per exit the budget that is always enough, and its classifier's own cost."""
    program, exits = compiled.program, []
    starts = [decode(words)["target"] for words in program[program[:, 0] == isa.TAP]] + [compiled.end]
    for worst, node, start in zip(cost.worst_case(program), network.exits, starts):
        name = "end" if node is network.exits[-1] else f"exit {worst.exit}, after block {node.unit}"
        own = cost.classifier_cost(program, start)
        own = {"classifier_flops": own.flops, "classifier_cycles": own.cycles}
        exits.append({"name": name, "block": node.unit, "flops": worst.flops, "cycles": worst.cycles, **own})
    return exits
