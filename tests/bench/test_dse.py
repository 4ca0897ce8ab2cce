"""Variants of the engine, the front of the design space, and its page."""

import pytest

from bench import documents, dse, dse_page
from bench.variants import ask, variant
from bench.walk import Walker, total
from export.shapes import resnet8
from hls import isa
from hls.cosim import CosimError


@pytest.fixture(scope="module")
def network():
    return resnet8(size=16)


def asked(network, folder, resources=False):
    entry = dse.entry(network, [[]], folder / "program.npz")
    return {"programs": {"network": entry}, "resources": resources}


def test_an_unchanged_variant_is_the_shipped_engine(network, tmp_path):
    with variant({}) as folder:
        answer = ask(folder, asked(network, tmp_path))
    assert answer["hash"] == isa.HASH
    assert answer["cycles"] == {"network": total(Walker(network.program).steps())[1]}


def test_fewer_lanes_take_longer_and_leave_this_process_alone(network, tmp_path):
    before = isa.OUT_LANES, total(Walker(network.program).steps())
    with variant({"OUT_LANES": 2, "COLUMNS": 1}) as folder:
        answer = ask(folder, asked(network, tmp_path))
    assert answer["hash"] != isa.HASH
    assert 2 * before[1][1] < answer["cycles"]["network"] < 3.2 * before[1][1]
    assert (isa.OUT_LANES, total(Walker(network.program).steps())) == before


def test_a_program_that_does_not_fit_has_no_cycles(network, tmp_path):
    with variant({"TILE_WORDS": 64}) as folder:
        assert ask(folder, asked(network, tmp_path))["cycles"] == {"network": None}


def test_a_worker_that_fails_says_why(network, tmp_path):
    with variant({}) as folder, pytest.raises(CosimError, match="No such file"):
        ask(folder, {"programs": {"x": {"file": "nowhere.npz", "limits": [], "traces": []}}, "resources": False})


def detail(dsp, blocks, lanes=isa.OUT_LANES, packing=2, **sizes):
    own = {"tile_words": isa.TILE_WORDS, "lane_bytes": isa.LANE_BYTES, "clock_mhz": 143, **sizes}
    return {"lanes": lanes, "packing": packing, "dsp": dsp, "bram18": blocks, "lut": 5, "ff": 5,
            f"{dse_page.LARGE}_images_per_s": 2.0, **own}  # fmt: skip


def test_the_front_by_hand():
    fast, cheap, beaten = (100, detail(200, 200)), (50, detail(100, 200)), (50, detail(150, 200))
    twin = (100, detail(200, 200))
    assert dse_page.front([fast, cheap, beaten]) == [fast, cheap]
    assert dse_page.front([fast, twin]) == [fast, twin]  # neither beats the other
    memory = (50, detail(150, 100))
    assert dse_page.front([fast, cheap, beaten, memory]) == [fast, cheap, memory]


def test_one_product_a_dsp_takes_one_for_each_multiplication():
    found = {"resources": {"dsp": 300, "bram18": 1, "lut": 1, "ff": 1}, "packed_dsp": 192}
    assert dse.taken(found, 6, 2)["dsp"] == 300
    assert dse.taken(found, 6, 1)["dsp"] == 300 - 192 + 6 * 64


def sweep():
    """Rows of a small sweep at two clocks."""
    found = {}
    for clock in (100, 143):
        for lanes, value, dsp in ((4, 70, 150), (isa.OUT_LANES, 100, 210)):
            point = detail(dsp, 250, lanes, clock_mhz=clock)
            found[f"dse.{lanes}.{clock}"] = {"value": value * clock / 143, "detail": point}
        small = detail(210, 130, tile_words=isa.TILE_WORDS // 2, clock_mhz=clock) | {"densenet201_images_per_s": 0.0}
        found[f"dse.small.{clock}"] = {"value": 100 * clock / 143, "detail": small}
    return found


def test_the_page_is_made_of_rows():
    rows = sweep()
    assert len(dse_page.points(rows)) == 3
    table = dse_page.front_table(rows)
    assert len(table) == 2 + 3 and any("shipped" in line and "off the front" in line for line in table)
    text = "\n".join(dse_page.reason_text(rows))
    assert "**4 lanes** run at 0.70 of the shipped engine's images/s and take -60 DSP" in text
    assert "-120 BRAM18; the package runs at 1.00 of the images/s, DenseNet-201 not at all" in text
    assert "the shipped point fits, and no point within the board's limits is faster" in text


def test_a_shipped_point_that_does_not_fit_is_said_so():
    rows = sweep()
    for row in rows.values():
        row["detail"]["dsp"] *= 10
    assert "does not fit: dsp 2,100 of 220: 1,880 too many" in "\n".join(dse_page.reason_text(rows))
    assert "over the board" in "\n".join(dse_page.front_table(rows))


def test_the_figure_shows_every_point_once():
    rows = sweep()
    text = dse_page.figure(rows)
    assert text.count("images/s: lanes") == 3 and text.count(">shipped<") == 2  # a label and the legend
    assert "the board" in text and text == dse_page.figure(rows)


def test_documents_without_rows_say_what_to_run():
    assert "python -m bench dse" in dse_page.reason_text({})[0]
    assert "python -m bench dse" in dse_page.figure({}) and len(dse_page.front_table({})) == 2
    assert documents.FIGURES["docs/dse.svg"] is dse_page.figure


@pytest.mark.parametrize("lanes", dse.LANES)
def test_every_point_has_whole_columns(lanes):
    assert lanes % 2 == 0
