"""Exits for a plain network: behind its residual blocks, each a pool, a mean and a linear classifier fitted here.

    network = with_exits(network, train)      # the same backbone, exits of its own numbering, the end last

The backbone is left as it is: a classifier is multinomial logistic regression on the means of a block's pooled map, on
training images (Panda et al., Conditional Deep Learning, DATE 2016, train theirs likewise behind a fixed network). Its
accuracy is measured with all others at export. Without residual blocks, an exit comes behind the last map of each size.
"""

import numpy as np
import torch
from torch.nn import functional

from export import graph
from export.float_network import FloatNetwork
from hls import isa
from hls.errors import UserError

IMAGES = 4096  # training images that classifiers are fitted on
STEPS = 60  # of L-BFGS
DECAY = 1e-4  # of weights
MOST = 6  # exits; the engine takes more, but each costs a pool


def with_exits(network, train):
    """The Network with exits. Raises UserError where there is no place for one."""
    places = _places(network)
    if not places:
        raise UserError(
            f"{network.name} has no residual block and no smaller map before its end: export without --exits"
        )
    means, labels = _means(network, train, places)
    nodes = []
    for node in network.nodes[:-1]:
        nodes.append(node)
        if node in places:
            nodes.append(_exit(node, places.index(node), *_fit(means[node], labels, network.classes)))
    return graph.Network(network.name, [*nodes, _end(network.exits[-1], len(places))], network.gates)


def _places(network):
    """Maps that an exit may stand behind: sums, or the last of each size; not the network's last map."""
    maps = [node for node in network.nodes if node.size is not None and _pooled(node) is not None]
    sums = [node for node in maps if isinstance(node, graph.Convolution) and node.add is not None]
    kinds = graph.Convolution, graph.Pool, graph.Affine
    last = {node.size: node for node in maps if isinstance(node, kinds)}
    ends = {x for node in network.exits[-1].body for x in node.inputs}
    found = [node for node in sums or sorted(last.values(), key=maps.index) if node not in ends]
    apart = max(1, -(-len(found) // MOST))
    return found[apart - 1 :: apart]


def _pooled(node):
    """(kernel, size) of the pool that keeps a map for its exit, or None for one that is too small."""
    kernel = 4 if min(node.size) >= 16 else 2
    size = tuple((n - kernel) // kernel + 1 for n in node.size)
    return (kernel, size) if min(size) >= 1 and kernel <= isa.MAX_KERNEL else None


def _means(network, train, places):
    """Node → (N, channels) means of its pooled map, on training images; and their labels."""
    found = {node: [] for node in places}

    def observe(node, values):
        if node in found:
            found[node].append(functional.max_pool2d(values, _pooled(node)[0]).mean((2, 3)))

    run, labels = FloatNetwork(network, observe), []
    for images, answers in train.plain_batches(128, min(IMAGES, len(train))):
        run(images)
        labels.append(answers)
    return {node: torch.cat(parts) for node, parts in found.items()}, torch.cat(labels)


def _fit(means, labels, classes):
    """(classes, channels) weights and (classes,) biases, float32."""
    centre, spread = means.mean(0), means.std(0).clamp(min=1e-6)
    x = (means - centre) / spread
    weight = torch.zeros(classes, means.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss():
        search.zero_grad()
        value = functional.cross_entropy(x @ weight.T + bias, labels) + DECAY * weight.square().sum()
        value.backward()
        return value

    search.step(loss)
    weight = weight.detach() / spread
    return weight.numpy().astype(np.float32), (bias.detach() - weight @ centre).numpy().astype(np.float32)


def _exit(node, number, weight, bias):
    """The Exit behind a map."""
    (kernel, size), name = _pooled(node), f"exit {number}"
    fields = {"kernel": kernel, "stride": kernel, "padding": 0, "average": False}
    pool = graph.Pool(f"{name}.pool", node.channels, size, node.signed, x=node, **fields)
    mean = graph.Mean(f"{name}.mean", node.channels, x=pool)
    logits = graph.Linear(f"{name}.linear", len(weight), x=mean, weight=weight, bias=bias, relu=False)
    return graph.Exit(name, len(weight), unit=number, body=[pool, mean, logits], logits=logits)


def _end(end, count):
    """The network's own end, its logits those of a linear layer, so that all exits' are in one unit."""
    body, logits = list(end.body), end.logits
    if not isinstance(logits, graph.Linear):
        weight, bias = np.eye(logits.channels, dtype=np.float32), np.zeros(logits.channels, np.float32)
        logits = graph.Linear("logits", logits.channels, x=logits, weight=weight, bias=bias, relu=False)
        body.append(logits)
    return graph.Exit("end", logits.channels, unit=count, body=body, logits=logits)
