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
    grown.begin(large, finished, toys.stripes(8))
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
        ({"kind": "resnet", "units": [1, 2], "shortcut": "conv"}, "shortcuts are of another kind"),
        ({"kind": "resnet", "units": [1, 2], "shortcut": "behind"}, "shortcuts are of another kind"),
        ({"kind": "resnet", "units": [1, 2], "width": 0.5}, "its channels are not as many as those of the recipe"),
    ],
)
def test_a_network_that_the_smaller_one_does_not_fit_is_refused(finished, backbone, message):
    model = Network(backbone).build(2, 3, (16, 16))
    with pytest.raises(UserError, match=message):
        grown.begin(model, finished, toys.stripes(8))


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
    assert not logits.requires_grad


def test_a_teacher_of_other_images_or_none_is_refused(finished, tmp_path):
    split = toys.stripes()
    with pytest.raises(UserError, match=r"no checkpoint .*nowhere\.pt"):
        teachers.find(learning(tmp_path / "nowhere.pt"), split, "cpu")
    with pytest.raises(UserError, match="was trained on cifar10: give one of fashion-mnist"):
        teachers.find(learning(finished, dataset="fashion-mnist"), split, "cpu")
    with pytest.raises(UserError, match=r"phase joint has terms\.teacher"):
        learning("")


def changed(finished, folder, **values):
    """A copy of the finished run with other values in it."""
    state = torch.load(finished, weights_only=True)
    for name, value in values.items():
        state[name] = value(state[name]) if callable(value) else value
    torch.save(state, folder / "changed.pt")
    return folder / "changed.pt"


@pytest.mark.parametrize(
    "values, message",
    [
        ({"data": lambda about: about | {"classes": ("dog", "eel")}}, r"knows other classes \(dog, eel\)"),
        ({"recipe": lambda plan: plan | {"dataset": "svhn"}}, "was trained on svhn: give one of cifar10"),
        ({"pruned": [{"closed": [99], "open": []}]}, "the weights do not fit their recipe"),
        ({"model": {}}, "the weights do not fit their recipe"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(finished, tmp_path, values, message):
    with pytest.raises(UserError, match=message):
        teachers.find(learning(changed(finished, tmp_path, **values)), toys.stripes(8), "cpu")


@pytest.mark.parametrize("lost", ["units.0.conv1.weight", "head.linear.weight"])
def test_a_smaller_network_with_weights_lost_or_no_numbers_is_refused(finished, tmp_path, lost):
    def without(weights):
        return {name: value for name, value in weights.items() if name != f"backbone.{lost}"}

    def broken(weights):
        return weights | {f"backbone.{lost}": weights[f"backbone.{lost}"] * float("nan")}

    for change, message in ((without, "the weights do not fit"), (broken, "numbers that are not finite")):
        with pytest.raises(UserError, match=message):
            grown.begin(
                Network(**LARGE).build(2, 3, (16, 16)), changed(finished, tmp_path, model=change), toys.stripes(8)
            )


def test_an_unfinished_run_gives_its_averaged_weights(finished, tmp_path):
    average = {"backbone.head.linear.bias": torch.tensor([3.0, -3.0])}
    large = Network(**LARGE).build(2, 3, (16, 16))
    grown.begin(large, with_average(finished, tmp_path, average), toys.stripes(8))
    assert torch.equal(large.backbone.head.linear.bias, average["backbone.head.linear.bias"])


def with_average(finished, folder, average):
    state = torch.load(finished, weights_only=True) | {"average": average}
    torch.save(state, folder / "average.pt")
    return folder / "average.pt"


def test_a_teacher_sees_images_as_it_was_trained_on_them(finished, tmp_path):
    """Whole, though the pupil sees small ones; by its own statistics; in eval mode, which no step changes."""
    seen = []
    split, plan = toys.stripes(), learning(finished)
    run = Trainer(toys.plan([toys.phase(steps=2, side=8, terms={"teacher": {}})], SMALL, teacher=str(finished)),
                  [split] * 3, tmp_path, "cpu", quiet=True)  # fmt: skip
    images = split.normalise(split.images[:16])
    before, own = run.teacher(images), run.teacher
    run.loss.teacher = lambda shown: seen.append(shown.shape) or own(shown)
    run.run()
    assert set(seen) == {(16, 3, 16, 16)} and torch.equal(own(images), before)
    small = checkpoint.load_model(checkpoint.read_checkpoint(finished), 2, 3, (16, 16))
    assert torch.equal(before, outputs(small, images)[-1])
    split.normalise_by((0.2,) * 3, (0.5,) * 3)
    again = teachers.find(plan, split, "cpu")(split.normalise(split.images[:16]))
    assert torch.allclose(again, before, atol=1e-4)


def test_a_teacher_is_needed_no_longer_than_its_phases(finished, tmp_path):
    file = tmp_path / "teacher.pt"
    file.write_bytes(finished.read_bytes())
    phases = [toys.phase("first", 2, terms={"teacher": {}}), toys.phase("second", 2)]
    plan, splits = toys.plan(phases, SMALL, teacher=str(file)), [toys.stripes()] * 3
    run = Trainer(plan, splits, tmp_path, "cpu", quiet=True)
    run.run()
    state = checkpoint.read_checkpoint(tmp_path / "checkpoint.pt", plan)
    file.unlink()
    again = Trainer(plan, splits, tmp_path, "cpu", quiet=True)
    again.resume(state)
    assert again.run()
    with pytest.raises(UserError, match="no checkpoint"):
        Trainer(plan, splits, tmp_path / "other", "cpu", quiet=True)
    with pytest.raises(UserError, match="so nothing learns from it"):
        toys.plan([toys.phase()], SMALL, teacher=str(file))
