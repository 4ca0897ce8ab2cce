"""Where a plain ResNet stands in a file, and its names: wrappers and prefixes are one thing, whatever their order.

    names = flatten(values)                  # "model/state_dict/module.conv1.weight" → tensor
    prefix = find(names)                     # "model/state_dict/module.", None where no such network is there
    weights = network(names, prefix)         # "conv1.weight" → Weight(its full name, the tensor)

The usual names are `conv1, bn1, layer1.0.conv1 … layer3.2.bn2, linear`; a shortcut is `layer2.0.shortcut.0` and `.1`.
"""

import re
from typing import NamedTuple

import numpy as np
import torch

from hls.errors import UserError

SYNONYMS = (  # pattern of a part of a name, the usual one
    (r"^(fc|classifier|head|linear)\.(\d\.)?(?=weight|bias)", "linear."),
    (r"\.downsample\.", ".shortcut."),
    (r"\b(conv\d)\.0\.(?=weight|bias)", r"\1."),  # a convolution with what was fused behind it
    (r"\bshortcut\.(0\.)*(?=weight|bias)", "shortcut.0."),
)
STEM, FIRST = "conv1.weight", "layer1.0.conv1.weight"
USUAL = {"state_dict", "model", "model_state_dict", "net", "network", "module", "_orig_mod", "weights", "params", ""}


class Weight(NamedTuple):
    """A tensor, and what its file calls it."""

    name: str
    value: torch.Tensor


def flatten(values, prefix=""):
    """{name: tensor} of nested dicts, / between their keys; arrays become tensors, everything else is left out."""
    found = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        name = f"{prefix}{key}"
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.from_numpy(np.array(value))
        if torch.is_tensor(value):
            found[name] = value
        elif isinstance(value, dict):
            found |= flatten(value, f"{name}/")
    return found


def usual(name):
    """A name within the network, in the usual words."""
    for pattern, word in SYNONYMS:
        name = re.sub(pattern, word, name)
    return name


def find(names):
    """The prefix of the network among flattened names, or None. An average's (EMA) comes before what it averages.

    Raises UserError where several networks are there and no usual word tells which.
    """
    known = {usual(name) for name in names}
    stems = [name.removesuffix(STEM) for name in known if re.search(rf"(^|[./]){re.escape(STEM)}$", name)]
    prefixes = sorted({prefix for prefix in stems if prefix + FIRST in known}, key=lambda one: (_rank(one), one))
    if len(prefixes) > 1 and _rank(prefixes[0]) == _rank(prefixes[1]):
        raise UserError(f"holds several networks ({', '.join(prefix[:-1] for prefix in prefixes)}): save one alone")
    return prefixes[0] if prefixes else None


def _rank(prefix):
    words = re.split(r"[./]", prefix)
    averaged = any("ema" in re.split(r"[_-]", word.lower()) for word in words)
    return not averaged, not set(words) <= USUAL


def network(names, prefix):
    """{usual name: Weight} of what stands under a prefix. Raises UserError where two are one by the usual names."""
    found = {}
    for name, value in names.items():
        own = usual(name.removeprefix(prefix))
        counter = not value.ndim and not name.endswith("num_batches_tracked")  # such as an average's n_averaged
        if counter or not name.startswith(prefix) or "/" in own:  # a dict beside the weights: an optimizer's, say
            continue
        if own in found:
            raise UserError(f"holds both {found[own].name} and {name}: expected one {own}")
        found[own] = Weight(name, value)
    return found


def units_of(weights):
    """Units of each stage, by the names."""
    found = {(int(match[1]), int(match[2])) for name in weights if (match := re.match(r"layer(\d+)\.(\d+)\.", name))}
    return [sum(stage == number for stage, _ in found) for number in range(1, max(found, default=(0,))[0] + 1)]


def check_numbers(name, value):
    """Raises UserError for a tensor that holds no plain numbers."""
    if value.is_meta:
        raise UserError(f"{name} is on the meta device and holds no numbers: save the model after its weights are in")
    if value.is_quantized:
        raise UserError(f"{name} is quantised ({value.dtype}): save the float model, export quantises it itself")
    if value.layout is not torch.strided:
        raise UserError(f"{name} is sparse ({value.layout}): save it as a dense tensor")
    if value.ndim and not value.is_floating_point():
        raise UserError(f"{name} is {value.dtype}, expected floating point: save the float model")
    if value.is_floating_point() and not value.float().isfinite().all():
        raise UserError(f"{name} holds numbers that are not finite: its training diverged, take an earlier checkpoint")
    if name.endswith("running_var") and (value < 0).any():
        raise UserError(f"{name} holds variances below 0: the file is damaged, fetch or write it again")
