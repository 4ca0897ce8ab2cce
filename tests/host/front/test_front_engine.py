"""The front door: pictures in, predictions out, with the engine's own figures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import host
from bench.standin import tiny
from data.datasets import load_sample
from data.fit import Fit
from data.formats.png import write_png
from hls import isa
from hls.errors import UserError
from hls.record import decode
from host.front.channels import active_channels
from host.front.engine import Engine, probabilities
from host.simulation import Golden
from tests.export.random_networks import VARIANTS, random_images, random_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def engine(tmp_path):
    with Engine(tiny.save(tmp_path / "tiny.npz"), backend="golden") as found:
        yield found


def pixels(count=3):
    return load_sample()[0][:count]


def results_of(engine, images, **options):
    start = engine.package.start(**options)
    return decode(Golden(1).run(engine.package, images, start), start)


def test_figures_are_the_engines(engine):
    found, expected = engine.predict(pixels()), results_of(engine, pixels())
    assert [one.label for one in found] == expected.label.tolist()
    assert [one.name for one in found] == [tiny.CLASSES[label] for label in expected.label]
    assert [one.flops for one in found] == expected.flops.tolist()
    assert [one.cycles for one in found] == expected.cycles.tolist()
    assert [one.trace.tolist() for one in found] == expected.trace.tolist()
    assert found[0].seconds == expected.cycles[0] / engine.board.clock_hz and found[0].seconds_kind == "modelled"
    assert {one.exit_name for one in found} == {"end"} and found[0].reason == "end" and found[0].joules > 0


def test_probabilities_are_the_devices_own(engine):
    """The engine's confidence, by its tables, is the largest of them; they add up to one."""
    results = results_of(engine, pixels(40))
    shares = probabilities(engine.package, results)
    assert shares.sum(1) == pytest.approx(1) and (shares.argmax(1) == results.label).all()
    assert shares.max(1) == pytest.approx(results.confidence, abs=0.01)
    one = engine.predict(pixels(1))[0]
    assert one.top(2, engine.classes)[0] == (one.name, one.probability) and one.probability == shares[0].max()


def test_a_budget_is_kept_and_one_that_is_too_small_is_refused(engine):
    least = engine.smallest_budget()
    found = engine.predict(pixels(), budget=least)
    assert {one.exit_name for one in found} == {"tap"} and {one.reason for one in found} == {"budget"}
    with pytest.raises(UserError, match=f"--budget {least}"):
        engine.predict(pixels(), budget="0.001k")
    assert {one.reason for one in engine.predict(pixels(), entropy=50.0)} == {"rule"}


def test_every_form_of_a_picture_is_the_same(engine, tmp_path):
    picture = pixels(1)[0]
    (tmp_path / "a.png").write_bytes(write_png(picture))
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), write_png(picture), picture, picture[..., 0]]
    assert len({one.flops for one in engine.predict(forms)}) == 1
    assert len({one.probabilities.tobytes() for form in forms for one in engine.predict(form)}) == 1
    assert len(engine.predict(pixels())) == len(engine.predict(list(pixels()))) == 3 and engine.predict([]) == []


def test_pictures_of_any_size_are_fitted_by_the_packages_rule(engine):
    large = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    assert engine.rule == Fit((32, 32), 3, "crop")
    assert (engine.fit(large) == Fit((32, 32), 3, "crop").apply(large)).all()
    assert engine.image_shape == (32, 32, 3) and engine.full_flops == engine.package.exits[-1]["flops"]


@pytest.mark.parametrize(
    "picture", [np.zeros((32, 32, 3)), np.zeros((32, 32, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), b"", "none.png"]
)
def test_what_is_no_picture_is_one_line(engine, picture):
    with pytest.raises(UserError) as error:
        engine.predict([picture])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("images", [None, 5, np.uint8(3), object(), [[[1, 2], [3]]], "a\0b"])
def test_what_is_no_sequence_of_pictures_is_one_line(engine, images):
    with pytest.raises(UserError, match="picture"):
        engine.predict(images)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"entropy": 0}, "entropy 0: expected nats"),
        ({"entropy": -1.0}, "above 0 and at most 100"),
        ({"entropy": float("nan")}, "entropy nan"),
        ({"entropy": float("inf")}, "entropy inf"),
        ({"entropy": "0.3"}, "entropy '0.3'"),
        ({"entropy": 0.3, "average_budget": "74M"}, "give one of them"),
        ({"budget": 74e6}, "has no unit"),
    ],
)
def test_rules_that_cannot_be_followed_are_one_line(engine, options, expected):
    with pytest.raises(UserError, match=expected):
        engine.predict(pixels(1), **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"backend": "fpga"}, "unknown backend 'fpga': expected auto"),
        ({"backend": None}, "unknown backend None"),
        ({"threads": 0}, "threads 0: expected a whole number"),
        ({"threads": "2"}, "threads '2'"),
        ({"package": None}, "package None: expected a path"),
    ],
)
def test_an_engine_that_cannot_be_had_is_one_line(tmp_path, options, expected):
    with pytest.raises(UserError, match=expected):
        Engine(**{"package": tiny.save(tmp_path / "tiny.npz"), **options})


def test_budgets_of_another_kind_are_one_line(engine):
    with pytest.raises(UserError, match="not of 'watts'"):
        engine.smallest_budget("watts")


def test_the_door_stands_open_without_loading_the_house():
    assert host.Engine is Engine and host.Prediction
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        _ = host.Motor
    code = "import sys, host; assert 'numpy' not in sys.modules; from host import Engine; "
    code += "assert not {'torch', 'PIL', 'cv2', 'urllib.request', 'asyncio', 'rpyc'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ------------------------------------------------------------------------------------------------------- which channels
def compiled(name):
    """(package, images) of a random network with channel gates."""
    import torch

    from export.build import Source, build
    from export.fold import fold
    from export.integers.calibrate import calibrate
    from export.integers.quantize import quantize

    case = VARIANTS[name]
    model, images = random_model(case), random_images(case, 4, 1)
    network = fold(model, case.channels, case.size)
    floats = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    quantised = quantize(network, calibrate(network, [floats]), case.mean, case.std)
    names = tuple(map(str, range(case.classes)))
    return build(quantised, Source("x", "x", case.mean, case.std, names, {}), {}), images


def closed(package):
    """The package with every channel gate shut: no value is above the largest threshold."""
    program = package.program.copy()
    gates = program[:, 0] == isa.GATE_CHANNEL
    program[gates, 1 + isa.FIELDS[isa.GATE_CHANNEL].index("threshold")] = 2**31 - 1
    return replace(package, program=program)


def test_a_block_that_ran_with_no_channel_is_told_from_one_that_did_not():
    package, images = compiled("hidden alone")
    shut, start = closed(package), package.start()
    trace = decode(Golden(1).run(shut, images[:1], start), start).trace[0]
    masks = active_channels(shut, images[0], start, trace)
    assert 0 in trace and [mask is not None and len(mask) == 0 for mask in masks] == (trace == 0).tolist()


def test_the_channels_that_ran_are_as_many_as_the_record_says():
    package, images = compiled("papers")
    start = package.start()
    results = decode(Golden(1).run(package, images, start), start)
    seen = 0
    for picture, trace in zip(images, results.trace):
        masks = active_channels(package, picture, start, trace)
        assert [-1 if mask is None else len(mask) for mask in masks] == np.maximum(trace, -1).tolist()
        for mask, gate in zip(masks, package.meta["gates"]):
            assert mask is None or ((np.diff(mask) > 0).all() and (not len(mask) or mask[-1] < gate["channels"]))
        seen += sum(
            mask is not None and 0 < len(mask) < gate["channels"] for mask, gate in zip(masks, package.meta["gates"])
        )
    assert seen, "no gate closes a part of its channels: the test shows nothing"
    wrong = results.trace[0].copy()
    wrong[0] = isa.TRACE_NOT_REACHED
    with pytest.raises(UserError, match="gate 0 has -1 in the record"):
        active_channels(package, images[0], start, wrong)
