"""What network a file holds, in words: what is not a plain CIFAR ResNet is refused by its right name.

check(weights, units, "resnet20")        # UserError for bottlenecks, four stages, a thinned net, another depth
raise UserError(other(names))            # of a file where no ResNet was found
"""

import re

from hls.errors import UserError

WIDTHS = (16, 32, 64)
PLAIN = "expected a plain CIFAR ResNet: conv1, three stages of basic units of 16, 32 and 64 channels, linear"
OTHERS = (  # pattern among the names, what has it
    (
        r"(^|[./])(backbone\.)?stem\.conv\.weight$",
        "a network of python -m training: give its model.pt as the CHECKPOINT",
    ),
    (r"_packed_params|\.zero_point$|activation_post_process", f"a quantised network: save the float one; {PLAIN}"),
    (r"kernel(:0)?$|/kernel|batch_normalization|moving_variance", f"a network of Keras or JAX; {PLAIN}"),
    (r"denseblock|(^|[./])dense\d\.", f"a DenseNet; {PLAIN}"),
    (r"(^|[./])block\d\.(layer\.)?\d|convShortcut", f"a wide ResNet of pre-activation units; {PLAIN}"),
    (r"attn|pos_embed|cls_token", f"a transformer; {PLAIN}"),
    (r"conv\d_x\.|stages?[._]\d|residual_function", f"a ResNet by other names; {PLAIN}"),
    (r"(^|[./])features\.\d", f"a network of `features`, such as VGG or MobileNet; {PLAIN}"),
)


def other(names):
    """A sentence on the tensors of a file that is no ResNet by the usual names."""
    if not names:
        return f"holds no weights: {PLAIN}"
    for pattern, what in OTHERS:
        found = next((name for name in names if re.search(pattern, name)), None)
        if found:
            return f"has {found}: it is {what}"
    name, value = next(iter(names.items()))
    return f"holds {len(names)} tensors, the first {name} {tuple(value.shape)}, and no conv1.weight; {PLAIN}"


def check(weights, units, depth):
    """Raises UserError where `weights` (names.network's) with `units` a stage are no plain ResNet of `depth`."""
    shapes = {name: tuple(weight.value.shape) for name, weight in weights.items()}
    for found in (_bottleneck(shapes, units), _stages(shapes, units), _order(shapes), _thinned(shapes, units)):
        if found:
            raise UserError(f"{found}; {PLAIN}")
    layers = 2 * sum(units) + 2
    if layers != depth:
        raise UserError(f"holds a resnet{layers}, --arch says resnet{depth}: give --arch resnet{layers}")


def _bottleneck(shapes, units):
    if "layer1.0.conv3.weight" in shapes:
        return f"has layer1.0.conv3: it is a ResNet-{3 * sum(units) + 2} of bottleneck units"
    return ""


def _stages(shapes, units):
    """A network of other than three stages, or with the stem of large images."""
    stem = shapes["conv1.weight"]
    if len(units) != 3:
        widths = ", ".join(str(shapes.get(f"layer{n}.0.conv1.weight", "?")[0]) for n in range(1, len(units) + 1))
        name = f"a ResNet-{2 * sum(units) + 2}"
        return f"has {len(units)} stages, of {widths} channels: it is {name} of another family"
    return f"has conv1 of {stem[2]}×{stem[3]}: it is a ResNet for large images" if stem[2:] != (3, 3) else ""


def _order(shapes):
    """Batch norms before the convolutions, or squeezed units."""
    first, before = shapes.get("layer2.0.bn1.weight"), shapes["conv1.weight"][0]
    if first == (before,) and shapes.get("layer2.0.conv1.weight", (0,))[0] != before:
        return "has layer2.0.bn1 of its input's channels: its units are of pre-activation (version 2)"
    return ""


def _thinned(shapes, units):
    """A network that lost units or channels."""
    if len(set(units)) > 1:
        return f"has {', '.join(map(str, units))} units in its stages: it is a thinned ResNet, or one of uneven depth"
    width = shapes["conv1.weight"][0]
    for name, shape in shapes.items():
        match = re.fullmatch(r"layer(\d)\.\d+\.conv[12]\.weight", name)
        if match and shape[0] != width << int(match[1]) - 1:
            expected = width << int(match[1]) - 1
            return f"has {name} of {shape[0]} channels where {expected} are expected: it is a thinned ResNet"
    return ""
