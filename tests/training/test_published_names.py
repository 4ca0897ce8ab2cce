"""Wrappers and prefixes in any order, other names, averages, folded batch norms: the same network each time."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hls.errors import UserError
from tests.training.test_published import backbone_of, weights_of
from training import published
from training.published import usual
from training.published.names import find, flatten

WORDS = ["state_dict", "model", "net", "module", "_orig_mod", "model_state_dict", "network", "ema"]
BACKBONE = backbone_of(8, shortcut="conv")
WEIGHTS = weights_of(BACKBONE)


def saved(values, path):
    torch.save(values, path)
    return path


def same(backbone, expected=BACKBONE, tolerance=0.0):
    found = backbone.state_dict()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance)


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.booleans()), max_size=5))
def test_wrappers_and_prefixes_in_any_order(tmp_path_factory, layers):
    """Each layer is a dict of its own, or a word before every name."""
    values = WEIGHTS
    for word, wrapped in layers:
        values = {word: values} if wrapped else {f"{word}.{name}": value for name, value in values.items()}
    path = saved(
        values | {"epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
        tmp_path_factory.mktemp("w") / "w.pt",
    )
    same(published.load(path, "resnet8", 10))


@pytest.mark.parametrize(
    "pattern, word",
    [
        (r"^linear", "fc"), (r"^linear", "classifier"), (r"^linear", "head"), (r"^linear", "classifier.1"),
        (r"\.shortcut\.", ".downsample."),
    ],
)  # fmt: skip
def test_other_names_of_the_same_parts(pattern, word, tmp_path):
    path = saved({re.sub(pattern, word, name): value for name, value in WEIGHTS.items()}, tmp_path / "w.pt")
    same(published.load(path, "resnet8", 10))


def average_of(model):
    """What torch's AveragedModel of a network with these names saves."""
    named = torch.nn.Module()
    for name, value in WEIGHTS.items():
        named.register_buffer(name.replace(".", "\0"), value)
    state = torch.optim.swa_utils.AveragedModel(named).state_dict()
    return {name.replace("\0", "."): value for name, value in state.items()}


def test_counters_of_an_average_are_left_out(tmp_path):
    state = average_of(BACKBONE)
    assert "n_averaged" in state and "module.conv1.weight" in state
    same(published.load(saved(state, tmp_path / "w.pt"), "resnet8", 10))
    same(published.load(saved(WEIGHTS | {"n_averaged": torch.tensor(3)}, tmp_path / "v.pt"), "resnet8", 10))


@pytest.mark.parametrize("word", ["ema", "model_ema", "state_dict_ema"])
def test_an_average_comes_before_what_it_averages(word, tmp_path):
    other = {name: value + 1 for name, value in WEIGHTS.items()}
    same(published.load(saved({"state_dict": other, word: WEIGHTS}, tmp_path / "w.pt"), "resnet8", 10))
    same(published.load(saved({word: {"module": WEIGHTS}, "model": other}, tmp_path / "v.pt"), "resnet8", 10))


def test_the_usual_word_tells_which_of_several(tmp_path):
    other = {name: value + 1 for name, value in WEIGHTS.items()}
    same(published.load(saved({"teacher": other, "state_dict": WEIGHTS}, tmp_path / "w.pt"), "resnet8", 10))
    with pytest.raises(UserError, match=r"holds several networks \(student, teacher\): save one alone"):
        published.load(saved({"teacher": other, "student": WEIGHTS}, tmp_path / "v.pt"), "resnet8", 10)


def test_arrays_are_read_from_npz(tmp_path):
    np.savez(tmp_path / "w.npz", **{f"net.{name}": value.numpy() for name, value in WEIGHTS.items()})
    same(published.load(tmp_path / "w.npz", "resnet8", 10))


def test_no_network_is_none():
    assert find(flatten({"a": {"conv1.weight": torch.zeros(1)}, "layer1.0.conv1.weight": torch.zeros(1)})) is None


# ----------------------------------------------------------------------------------------------- folded batch norms
def folded(weights, apart=()):
    """Convolutions with biases in place of the batch norms; those of `apart` keep theirs behind a bias of ones."""
    found = dict(weights)
    for name in weights:
        match = re.fullmatch(r"(.*)(conv(\d)|shortcut\.0)\.weight", name)
        if not match:
            continue
        conv, norm = name.removesuffix(".weight"), f"{match[1]}{'bn' + match[3] if match[3] else 'shortcut.1'}"
        if conv in apart:
            found[f"{conv}.bias"] = torch.ones(len(weights[name]))
            found[f"{norm}.running_mean"] = weights[f"{norm}.running_mean"] + 1
            continue
        scale, bias, mean, var = (
            found.pop(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")
        )
        found.pop(f"{norm}.num_batches_tracked")
        factor = scale / (var + 1e-5).sqrt()
        found[name], found[f"{conv}.bias"] = weights[name] * factor[:, None, None, None], bias - mean * factor
    return found


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("apart", [(), ("conv1", "layer2.0.conv1", "layer2.0.shortcut.0")], ids=["all", "some"])
def test_folded_batch_norms_give_the_same_logits(apart, fused, tmp_path):
    weights = folded(WEIGHTS, apart)
    if fused:  # as torch.ao.quantization.fuse_modules names them
        weights = {
            re.sub(r"(conv1|shortcut)\.(0\.)?(weight|bias)$", r"\1.0.\3", name): value
            for name, value in weights.items()
        }
    backbone = published.load(saved(weights, tmp_path / "w.pt"), "resnet8", 10)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = BACKBONE.eval()(images)
        torch.testing.assert_close(backbone(images), expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_a_bias_of_another_width_is_named(tmp_path):
    weights = folded(WEIGHTS) | {"conv1.bias": torch.zeros(3)}
    with pytest.raises(UserError, match=r"conv1\.bias is \(3,\), expected \(16,\)"):
        published.load(saved(weights, tmp_path / "w.pt"), "resnet8", 10)


@pytest.mark.parametrize(
    ("own", "published"),
    [("stem.conv.weight", "conv1.weight"), ("stem.bn.bias", "bn1.bias"), ("head.linear.weight", "linear.weight"),
     ("units.0.conv1.weight", "layer1.0.conv1.weight"), ("units.4.bn2.bias", "layer2.1.bn2.bias"),
     ("units.8.conv2.weight", "layer3.2.conv2.weight"), ("odd", "odd")],
)  # fmt: skip
def test_messages_have_the_usual_names(own, published):
    assert usual(own, (3, 3, 3)) == published
