"""Variants of the engine, the front of the design space, and its page."""

import os
import subprocess
import sys
import tomllib
from xml.etree import ElementTree

import pytest

from bench import documents, dse
from bench.networks import stalls
from bench.networks.walk import Walker, total
from bench.packages import PACKAGES
from bench.rows import ROOT
from bench.sizes import chips, figure, page, queues, variants
from bench.sizes.variants import ask, unchanged, variant
from data.datasets import load_sample
from export.compile.shapes import resnet8
from hls import cosim, isa
from hls.cosim import CosimError
from hls.generate.sources import SOURCE
from hls.package import read
from hls.schedule import MULTIPLICATIONS
from hls.stress import trips

CONTRACT = tomllib.loads(SOURCE.read_text())
CONTRACT_NAMES = CONTRACT["sizes"].keys() | CONTRACT["timing"].keys()


@pytest.fixture(scope="module")
def network():
    return resnet8(size=16)


def asked(network, folder, resources=False):
    entry = variants.entry(network, [[]], folder / "program.npz")
    return {"programs": {"network": entry}, "resources": resources}


def test_an_unchanged_variant_is_the_shipped_engine(network, tmp_path):
    with variant({}) as folder:
        answer = ask(folder, asked(network, tmp_path))
    assert answer["hash"] == isa.HASH
    assert answer["cycles"] == {"network": total(Walker(network.program).steps())[1]}


@pytest.mark.parametrize(
    ("sizes", "least", "most"), [({"ROW_TAPS": 1}, 2, 3), ({"OUT_LANES": 1}, 1.7, 2), ({"DRAIN": 4}, 1, 1.5)]
)
def test_a_smaller_array_takes_longer_and_leaves_this_process_alone(network, tmp_path, sizes, least, most):
    before = isa.OUT_LANES, isa.ROW_TAPS, total(Walker(network.program).steps())
    with variant(sizes) as folder:
        answer = ask(folder, asked(network, tmp_path))
    assert answer["hash"] != isa.HASH
    assert least * before[2][1] < answer["cycles"]["network"] < most * before[2][1]
    assert (isa.OUT_LANES, isa.ROW_TAPS, total(Walker(network.program).steps())) == before


def test_a_program_that_does_not_fit_has_no_cycles(network, tmp_path):
    with variant({"TILE_WORDS": 64}) as folder:
        assert ask(folder, asked(network, tmp_path))["cycles"] == {"network": None}


def test_sources_that_change_during_a_sweep_are_found_out(tmp_path, monkeypatch):
    (tmp_path / "hls").mkdir()
    (tmp_path / "hls" / "isa.toml").write_text("version = 1")
    monkeypatch.setattr(variants, "ROOT", tmp_path)
    with unchanged():
        pass
    with pytest.raises(CosimError, match="hls/ changed during the sweep: run it again"), unchanged():
        (tmp_path / "hls" / "isa.toml").write_text("version = 2")


def test_a_worker_that_fails_says_why(network, tmp_path):
    with variant({}) as folder, pytest.raises(CosimError, match="No such file"):
        ask(folder, {"programs": {"x": {"file": "nowhere.npz", "limits": [], "traces": []}}, "resources": False})


def test_every_point_is_swept_once_and_the_shipped_one_is_among_them():
    found = dse.points()
    assert len({tuple(sizes.items()) for sizes in found}) == len(found)
    assert {name: page.OWN[name] for name in dse.NAMES} in found
    assert set(dse.NAMES) | {"packing"} == set(page.OWN) and set(dse.NAMES.values()) <= CONTRACT_NAMES
    assert 2 in dse.packings(isa.OUT_LANES) and dse.packings(1) == (1,)


# -------------------------------------------------------------------------------------------------------------- chips
PARTS = [
    [192, chips.UNIT, "dsp", "packing.hpp, MultiplyPacked"],
    [8, chips.UNIT, "dsp", "requantize.hpp, RequantizeTwice"],
    [2, "gates", "dsp", "requantize.hpp, RequantizeTwice"],
    [32, chips.UNIT, "bram18", "state.layer.lanes.even"],
    [192, "tile_memory", "bram18", "state.maps"],
    [60, chips.UNIT, "lut", "chip/array.hpp, WindowPixel"],
    [30, chips.UNIT, "lut", "chip/array.hpp, TakeTaps"],
    [5, "", "lut", ""],
]


def test_parts_grow_with_what_they_serve():
    """By hand, for twice the channels, a third of the taps, and half of the drain."""
    own = chips.scaled(PARTS, {})
    assert own == {"dsp": 202, "bram18": 224, "lut": 95}
    lanes = chips.scaled(PARTS, {"lanes": 2 * isa.OUT_LANES})
    assert lanes == {"dsp": 202 + 192, "bram18": 224 + 32, "lut": 95 + 30}
    assert chips.scaled(PARTS, {"taps": 1}) == {"dsp": 202 - 128, "bram18": 224, "lut": 95 - 40}
    assert chips.scaled(PARTS, {"drain": isa.DRAIN // 2}) == {"dsp": 202 - 4, "bram18": 224, "lut": 95}


def test_one_product_a_dsp_takes_one_for_each_multiplication():
    assert chips.scaled(PARTS, {}, packing=1)["dsp"] == 10 + MULTIPLICATIONS
    one = chips.scaled(PARTS, {"lanes": 1}, packing=1)["dsp"]
    assert one == 10 + isa.TILE**2 * isa.ROW_TAPS  # a single channel has nothing to share a multiplier with


def test_parts_add_up_to_the_estimate_and_every_growing_part_is_there():
    resources = pytest.importorskip("hls.estimate.resources", reason="needs libclang")
    estimate = resources.estimate()
    parts = chips.parts_of(estimate)
    assert chips.scaled(parts, {}) == estimate.total
    for start, _ in chips.GROWTH:  # a function that was renamed would no longer grow
        assert any(unit == chips.UNIT and place.startswith(start) for _, unit, _, place in parts), start
    products = sum(part[0] for part in parts if part[2] == "dsp" and part[3].startswith("packing.hpp"))
    assert 2 * products == MULTIPLICATIONS


# --------------------------------------------------------------------------------------------------------------- page
def detail(dsp, blocks, lanes=isa.OUT_LANES, taps=isa.ROW_TAPS, **sizes):
    own = page.OWN | {"lanes": lanes, "taps": taps, "clock_mhz": 143, "scaled": False, **sizes}
    return {**own, "dsp": dsp, "bram18": blocks, "lut": 5, "ff": 5, f"{page.LARGE}_images_per_s": 2.0}


def test_the_front_by_hand():
    fast, cheap, beaten = (100, detail(200, 200)), (50, detail(100, 200)), (50, detail(150, 200))
    twin = (100, detail(200, 200))
    assert page.front([fast, cheap, beaten]) == [fast, cheap]
    assert page.front([fast, twin]) == [fast, twin]  # neither beats the other
    memory = (50, detail(150, 100))
    assert page.front([fast, cheap, beaten, memory]) == [fast, cheap, memory]
    slower = (100, detail(200, 100) | {f"{page.LARGE}_images_per_s": 0.0})
    assert page.front([fast, slower]) == [fast, slower]  # one runs the large network, one takes less
    assert page.front([fast, (100, detail(200, 200, lane_bytes=isa.LANE_BYTES // 2))]) == [fast]


def sweep():
    """Rows of a small sweep, the shipped sizes at two clocks."""
    found = {
        "dse.shipped.100": (100 / 143 * 100, detail(210, 250, clock_mhz=100)),
        "dse.shipped.143": (100, detail(210, 250)),
        "dse.lanes": (70, detail(150, 250, lanes=4, taps=1, scaled=True)),
        "dse.one": (55, detail(210, 290, lanes=1, packing=1, scaled=True)),
        "dse.one_product": (100, detail(402, 250, packing=1)),
        "dse.small": (100, detail(210, 130, tile_words=isa.TILE_WORDS // 2) | {"densenet201_images_per_s": 0.0}),
        "dse.drain": (90, detail(202, 250, drain=4, scaled=True)),
        "dse.ports": (80, detail(210, 250, weight_ports=1)),
    }
    return {name: {"value": value, "detail": point} for name, (value, point) in found.items()}


def unwrapped(lines):
    """A list's points, a line each."""
    return "\n".join(lines).replace("\n  ", " ")


def test_the_page_is_made_of_rows():
    rows = sweep()
    assert len(page.points(rows)) == 7
    table = page.front_table(rows)
    assert len(table) == 2 + 4 and sum("shipped" in line for line in table) == 1
    assert sum("scaled" in line for line in table) == 2 and not any("off the front" in line for line in table)
    text = unwrapped(page.reason_text(rows))
    products = isa.TILE**2 * 4
    assert (
        f"**4 channels × 1 tap** ({products} products a cycle) run at 0.70 of the shipped engine's images/s, Dense"
        in text
    )
    assert "take -60 DSP, +0 BRAM18, +0 LUT.\n" in text and "+40 BRAM18, +0 LUT: over the board in BRAM18.\n" in text
    assert "**One product a DSP** runs at 1.00 of the images/s and takes +192 DSP: over the board in DSP." in text
    assert "-120 BRAM18; the package runs at 1.00 of the images/s, DenseNet-201 not at all" in text
    assert "**4 pixels requantised a cycle** run at 0.90 of the images/s and take -8 DSP, +0 LUT." in text
    assert "**1 port for the weights** runs at 0.80 of the images/s, DenseNet-201 at 1.00;" in text
    assert "(100 MHz 70, 143 MHz 100)" in text
    assert "5 of 7 points are estimated to fit, the shipped one with them. Of these none runs the package" in text
    assert "runs the package faster, none DenseNet" in text


def test_what_is_around_the_engine_counts():
    """On the edge of the chip's LUTs the engine alone fits, and its design does not."""
    rows, around = sweep(), page.adapters.total({"lut": 0})["lut"]
    limit = page.resources.limits()["lut"]
    for row in rows.values():
        row["detail"]["lut"] = limit - around
    assert page.points(rows)[0][1]["lut"] == limit and "the shipped one with them" in unwrapped(page.reason_text(rows))
    for row in rows.values():
        row["detail"]["lut"] += 1
    assert f"does not fit: lut {limit + 1:,} of {limit:,}: 1 too many" in unwrapped(page.reason_text(rows))
    assert all("over the board" in line for line in page.front_table(rows)[2:])


def test_a_faster_point_that_fits_is_said_so():
    rows = sweep()
    rows["dse.drain"]["value"] = 101
    assert "Of these 1 runs the package faster, none" in unwrapped(page.reason_text(rows))
    assert any("shipped, off the front" in line for line in page.front_table(rows))


def test_rows_of_other_sweeps_are_left_out():
    old = {"dse.6x2": {"value": 1, "detail": {"lanes": 6, "packing": 2, "clock_mhz": 200}}}
    assert page.points({**sweep(), **old}) == page.points(sweep())
    assert page.front_table({**sweep(), **old}) == page.front_table(sweep())
    assert page.reason_text({**sweep(), **old}) == page.reason_text(sweep())


def test_a_shipped_point_that_does_not_fit_is_said_so():
    rows = sweep()
    for row in rows.values():
        row["detail"]["dsp"] *= 10
    assert "does not fit: dsp 2,100 of 220: 1,880 too many" in unwrapped(page.reason_text(rows))
    assert "over the board" in "\n".join(page.front_table(rows))


def test_the_figure_shows_every_point_once():
    rows = sweep()
    text = figure.figure(rows)
    assert text.count(" images/s: lanes") == 7 and text.count(">shipped<") == 1
    dots = [g for g in ElementTree.fromstring(text).iter() if " images/s: lanes" in g.get("id", "")]
    assert sum(figure.SHIPPED in ElementTree.tostring(dot, "unicode") for dot in dots) == 1
    assert "the board" in text and "<dc:date>" not in text


def test_the_figure_is_the_same_text_in_another_process():
    """Ids, numbers and fonts depend on the rows alone; else `make check` would find the document stale."""
    code = "from bench.documents import latest; from bench.sizes.figure import figure; print(figure(latest()), end='')"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == (ROOT / "docs" / "dse.svg").read_text()


def test_documents_without_rows_say_what_to_run():
    assert "python -m bench dse" in page.reason_text({})[0]
    assert "python -m bench dse" in figure.figure({}) and len(page.front_table({})) == 2
    assert documents.FIGURES["docs/dse.svg"] is figure.figure


def test_what_is_shipped_is_swept_and_stands_in_the_sources():
    text = cosim.sources()[queues.FILE].decode()
    for kind, (old, _, sizes) in queues.KINDS.items():
        assert text.count(old) == 1 and queues.SHIPPED[kind] in sizes
    assert f"kQueueWords = {queues.SHIPPED['queue']};" in text


def test_bursts_and_queues_stand_in_order_with_what_each_latency_costs():
    def row(size, shipped=0):
        detail = {"size": size, "shipped": shipped, "latency_0": 0.001, "latency_20": 0.01, "latency_40": 0.02,
                  "latency_80": 0.5 / size}  # fmt: skip
        return {"value": 0.02, "detail": detail}

    found = {"waits.ahead.16": row(16), "waits.ahead.4": row(4, 1), "waits.queue.2": row(2), "dse.2x3x2": {}}
    lines = queues.table(found)
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["4", "16", "2"]
    assert lines[2] == "| bursts asked for ahead, a port | 4 | 0.1% | 1.0% | 2.0% | 12.5% | shipped |"
    assert "python -m bench dse" in queues.table({})[0]


@pytest.mark.cosim
def test_fewer_bursts_ahead_lose_more_time_on_a_slow_bus():
    package, (images, _) = read(PACKAGES / "fashion-mnist.npz"), load_sample()
    found = dict(queues.swept(package, images[:1], "ahead", (2, isa.READ_REQUESTS), (80,)))
    few, own = (found[size][80] for size in (2, isa.READ_REQUESTS))
    assert few > 1 and 0 <= own < 0.05
    data = package.program, package.weights, package.tables, images[:1], package.start()
    changes = ((queues.FILE, "kQueueWords = 64;", "kQueueWords = 1;"),)
    short, plain = (trips.run(*data, flags=stalls.CHIP, bus=(40, 40), **more)[0] for more in ({"changes": changes}, {}))
    assert (short == plain).all(), "no result depends on a queue"


def test_a_change_of_the_sources_must_fit_once():
    with pytest.raises(CosimError, match=r"'kQueueWords' stands \d+ times in chip/fetch.hpp, not once"):
        trips._build((), [], ((queues.FILE, "kQueueWords", "x"),))
