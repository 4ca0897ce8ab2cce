"""What a run begins with and learns from: a smaller network that was trained here, a teacher."""

import pytest
import torch

from hls.errors import UserError
from tests.training import toys
from training import checkpoint, grown, teachers
from training.loop import Trainer
from training.network import Network

SMALL = {"backbone": {"kind": "resnet", "units": [1, 2]}}
LARGE = {"backbone": {"kind": "resnet", "units": [2, 4]}, "layer_gates": {"kind": "pooled", "base": [1, 2]}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of a small network on stripes: model.pt."""
    folder = tmp_path_factory.mktemp("small")
    run = Trainer(toys.plan([toys.phase(steps=20)], SMALL), [toys.stripes()] * 3, folder, "cpu", quiet=True)
    run.run()
    run.finish()
    return folder / "model.pt"


def outputs(model, images, **options):
    with torch.no_grad():
        return model.eval()(images, **options).logits


def test_a_larger_network_begins_as_the_smaller_one(finished):
    small = checkpoint.load_model(checkpoint.read_checkpoint(finished), 2, 3, (16, 16))
    large = Network(**LARGE, exits={"after": [], "linear": [3]}).build(2, 3, (16, 16))
    grown.begin(large, finished)
    images = torch.randn(5, 3, 16, 16)
    wanted = outputs(small, images)[-1]
    early, last = outputs(large, images, gated=False)
    assert torch.allclose(last, wanted, atol=1e-5) and torch.allclose(early, wanted, atol=1e-5)
    assert not torch.allclose(last, torch.zeros_like(last))


@pytest.mark.parametrize(
    "backbone, message",
    [
        ({"kind": "resnet", "units": [1, 1]}, r"\[1, 2\] units a stage, the recipe \[1, 1\]: expected at most as many"),
        ({"kind": "resnet", "units": [1, 2, 1]}, r"the recipe \[1, 2, 1\]"),
        ({"kind": "resnet", "units": [1, 2], "width": 0.5}, "does not fit the recipe's network at .*as many channels"),
    ],
)
def test_a_network_that_the_smaller_one_does_not_fit_is_refused(finished, backbone, message):
    model = Network(backbone).build(2, 3, (16, 16))
    with pytest.raises(UserError, match=message):
        grown.begin(model, finished)


def learning(teacher, **values):
    phase = toys.phase(steps=60, terms={"teacher": {"exits": 0.0}})
    return toys.plan([phase], SMALL, teacher=str(teacher), **values)


def test_a_network_learns_from_its_teacher_alone(finished, tmp_path):
    """No label is seen: what is right is told by the teacher's outputs."""
    split = toys.stripes()
    run = Trainer(learning(finished), [split, split, split], tmp_path, "cpu", quiet=True)
    logits = run.teacher(split.normalise(split.images))
    taught = (logits.argmax(1) == split.labels).float().mean().item()
    run.run()
    assert taught > 0.9 and run.finish()["test"]["accuracy"] > 0.9
    assert all(not value.requires_grad for value in [logits])


def test_a_teacher_of_other_images_or_none_is_refused(finished, tmp_path):
    split = toys.stripes()
    with pytest.raises(UserError, match=r"no checkpoint .*nowhere\.pt"):
        teachers.find(learning(tmp_path / "nowhere.pt"), split, "cpu")
    with pytest.raises(UserError, match="was trained on cifar10: expected one of fashion-mnist"):
        teachers.find(learning(finished, dataset="fashion-mnist"), split, "cpu")
    with pytest.raises(UserError, match=r"phase joint has terms\.teacher"):
        learning("")
