"""The picture: well-formed XML for every kind of run, and PNGs that say what they were given."""

import struct
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.standin import tiny
from data.datasets import load_sample
from data.formats.png import write_png
from hls import golden
from hls.record import Start, decode
from host.board import catalog
from host.budgets.budget import limits, parse
from host.views import picture, report
from host.views.svg import blend, clean, ticks


def make_run(budget="none", count=20, package=None):
    """A finished run of the tiny package, and its images."""
    package = package or tiny.package()
    images, labels = (array[:count] for array in load_sample())
    flops, cycles = limits(parse(budget), catalog.read())
    start = Start(gates=1, classes=10, budget_flops=flops, budget_cycles=cycles)
    records = golden.run(package.program, package.weights, package.tables, images, start)
    run = report.Run(
        package=package,
        package_file="tiny.npz",
        budget=parse(budget),
        board=catalog.read(),
        start=start,
        threads=1,
        seconds=1.0,
        command="python host/run.py",
        results=decode(records, start),
        labels=labels,
        sha256="0" * 64,
        data="a sample",
        backend="golden",
        backend_title="golden",
        engine="test",
    )
    return run, images


def draw(run, images):
    return ElementTree.fromstring(picture.draw(run, report.summarize(run), images))


@pytest.mark.parametrize("budget", ["none", "3k", "0.1k", "1ms", "900G"])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_every_kind_of_run(budget, count):
    run, images = make_run(budget, count)
    texts = [element.text for element in draw(run, images).iter("{http://www.w3.org/2000/svg}text")]
    assert "What each image spent" in texts
    assert (f"budget {run.budget}" in texts or f"budget {run.budget} →" in texts) == (budget != "none")


def test_texts_and_marks_stay_inside():
    root = draw(*make_run("3k"))
    for element in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, width, height = (float(element.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + width <= picture.WIDTH and y + height <= picture.HEIGHT
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(element.get("x")) <= picture.WIDTH and 0 <= float(element.get("y")) <= picture.HEIGHT


def test_names_from_a_package_cannot_break_it():
    package = tiny.package()
    meta = {**package.meta, "architecture": "<b>&\"'\0\x1b", "classes": ["<&\0>"] * 10}
    draw(*make_run(package=replace(package, meta=meta)))
    assert clean("a<b>\0") == "a&lt;b&gt;?"


def test_many_exits_and_gates():
    run, images = make_run(count=20)
    exits = [{**run.package.exits[0], "name": f"exit {i}", "block": i} for i in range(37)]
    gates = [{"block": i, "stage": i // 12, "channels": 16} for i in range(36)]
    package = replace(run.package, meta={**run.package.meta, "exits": exits, "gates": gates})
    random = np.random.default_rng(3)
    trace = random.integers(-2, 17, (20, 36)).astype(np.int32)
    results = replace(run.results, exit=random.integers(0, 37, 20), trace=trace)
    draw(replace(run, package=package, results=results), images)


@pytest.mark.parametrize("shape", [(5, 7, 3), (32, 32, 1), (1, 1, 3)])
def test_png(shape):
    pixels = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    data = write_png(pixels)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">2I", data[16:24]) == (shape[1], shape[0])
    size = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(shape[0], -1)
    assert not rows[:, 0].any() and (rows[:, 1:].reshape(shape) == pixels).all()


def test_ticks_and_colours():
    assert ticks(0) == [0] and ticks(10, 5) == [0, 2, 4, 6, 8, 10]
    for high in (1e-9, 0.3, 1, 7, 99, 1e12):
        assert 3 <= len(ticks(high)) <= 9 and max(ticks(high)) <= high * 1.001
    assert blend(0, ("#000000", "#ffffff")) == "#000000" and blend(1, ("#000000", "#ffffff")) == "#ffffff"
    assert blend(0.5, ("#000000", "#ffffff")) in ("#808080", "#7f7f7f")


def test_a_block_without_an_open_channel_does_not_count_as_run():
    run, images = make_run(count=20)
    trace = np.array([[-2], [0], [0], [7]] * 5, np.int32)
    layers = (trace[:, 0] >= 0).astype(np.int64)  # as the engine counts: a gate that let its block run
    run = replace(run, results=replace(run.results, trace=trace, layers_run=layers))
    summary = report.summarize(run)
    assert summary["layers_run"] == {"mean": 0.25, "min": 0, "max": 1, "total": 1}
    gate = summary["gates"][0]
    assert (gate["run"], gate["empty"], gate["skipped"], gate["channels_mean"]) == (0.25, 0.5, 0.25, 7.0)
    assert "without a channel 50%" in picture.draw(run, summary, images)
