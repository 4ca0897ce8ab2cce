"""Faults put into loops that hold: each is found, and by the right figure."""

import pytest

from hls.bounds.ir import BoundsError
from hls.bounds.sources import compiled
from tests.hls.bounds.kernels import bound, needs_clang, unrolled

pytestmark = needs_clang

LANES = unrolled("Lanes", 8, "sum += state.lanes[8 * (i & 63) + k];")
CUT = ("array_partition variable = state.lanes cyclic factor = 8",)
COPY = "state.bins[state.to[i & 63] & 255] = state.bins[state.from[i & 63] & 255] * n;"
CLAIM = "#pragma HLS dependence variable = state.bins type = inter direction = RAW dependent = false\n"
MAPS = "int32_t bins[256]; int32_t from[64]; int32_t to[64];"


def test_a_missing_partition(tmp_path):
    rest = {"state": "int32_t lanes[512];", "before": "int32_t sum = n;", "after": "return sum;"}
    whole, fault = bound(tmp_path, LANES, pragmas=CUT, **rest), bound(tmp_path, LANES, **rest)
    assert (whole.ii_ports, fault.ii_ports) == (1, 4)  # eight reads, two ports
    assert (whole.gap, fault.gap) == (0, 3)


@pytest.mark.parametrize("cut, ii", [("complete", 1), ("", 9)])
def test_an_array_of_the_function_that_is_indexed_at_run_time(cut, ii, tmp_path):
    """It is a memory like any other, with 16 writes and a read for two ports; a pragma makes it registers."""
    fill = unrolled("Fill", 16, "turned[k] = in[16 * i + k];")
    pragma = f"#pragma HLS array_partition variable = turned {cut}\n" if cut else ""
    body = f"int32_t turned[16];\n{pragma}{fill}\nout[i] = turned[n & 15];"
    found = bound(tmp_path, body)
    assert [use.ii for use in found.uses if use.path == "turned"] == ([] if cut else [ii])


def test_a_third_read(tmp_path):
    state = "int32_t numbers[1024];"
    two = bound(tmp_path, "out[i] = state.numbers[i & 511] + state.numbers[1023 - (i & 511)];", state)
    three = bound(
        tmp_path, "out[i] = state.numbers[i & 511] + state.numbers[1023 - (i & 511)] + state.numbers[n & 1023];", state
    )
    assert (two.ii_ports, three.ii_ports) == (1, 2)


def test_reads_on_different_sides_of_a_branch_take_turns(tmp_path):
    state = "int32_t numbers[1024]; int32_t kind[64];"
    body = """
    int32_t found = state.numbers[i & 1023];
    if (state.kind[i & 63] > 0) {
      found += state.numbers[(i + 1) & 1023];
    } else {
      found += state.numbers[(i + 5) & 1023] * 3;
    }
    out[i] = found;"""
    use = next(each for each in bound(tmp_path, body, state).uses if each.path == "state.numbers")
    assert (use.reads, use.ii, use.together) == (2, 1, 2)


@pytest.mark.parametrize("storage, ii", [
    ("bind_storage variable = state.numbers type = ram_1p impl = bram", 3),
    ("bind_storage variable = state.numbers type = ram_s2p impl = bram", 2),  # two reads, one write
    ("bind_storage variable = state.numbers type = ram_t2p impl = bram", 2),
    ("bind_storage variable = state.numbers type = ram_1wnr impl = bram", 1),
    ("array_reshape variable = state.numbers cyclic factor = 4", 1),  # a word of four, and one that is written
    ("array_partition variable = state.numbers cyclic factor = 2", 1),  # an even and an odd read, the write in any
])  # fmt: skip
def test_ports_are_those_of_the_storage(storage, ii, tmp_path):
    body = "out[i] = state.numbers[4 * (i & 63)] + state.numbers[4 * (i & 63) + 1]; state.numbers[n & 255] = i;"
    use = next(
        each for each in bound(tmp_path, body, "int32_t numbers[256];", [storage]).uses if "numbers" in each.path
    )
    assert use.ii == ii


def test_a_bus_takes_one_read_a_cycle(tmp_path):
    assert bound(tmp_path, "out[i] = in[2 * i] + in[2 * i + 1];").ii_ports == 2
    assert bound(tmp_path, "out[i] = in[i] * 3;").ii_ports == 1


def test_an_over_long_chain(tmp_path):
    before, after = "int32_t product = n; uint8_t small = 1;", "return product + small;"
    short = bound(tmp_path, "product += in[i];", before=before, after=after)
    long = bound(tmp_path, "product = (product * in[i] + n) * n + 1;", before=before, after=after)
    assert short.period_ns < 4 and short.ii == 1
    assert long.period_ns > 10 and long.ii > 1 and long.gap == long.ii - 1
    assert any(step[0] == "mul" for step in long.way)


def test_a_chain_counts_over_the_iterations_that_it_takes(tmp_path):
    """Two registers in a row halve what each cycle has to hold."""
    before, after = "int32_t a = n; int32_t b = 1;", "return a + b;"
    once = bound(tmp_path, "a = a * n + in[i];", before=before, after=after)
    twice = bound(tmp_path, "const int32_t old = b; b = a; a = old * n + in[i];", before=before, after=after)
    assert twice.period_ns < 0.6 * once.period_ns


def test_a_missing_dependence_pragma(tmp_path):
    claimed, fault = bound(tmp_path, CLAIM + COPY, MAPS), bound(tmp_path, COPY, MAPS)
    assert claimed.open == () and claimed.claims == ("state.bins",) and claimed.ii == 1
    assert fault.open == ("state.bins",) and fault.claims == () and fault.ii > 1


def test_addresses_that_sums_tell_apart_need_no_pragma(tmp_path):
    found = bound(tmp_path, "state.bins[2 * i + 1] = state.bins[2 * i] + 1;", "int32_t bins[4096];")
    assert found.open == () and found.ii == 1


def test_a_claim_of_another_array_does_not_count(tmp_path):
    claim = CLAIM.replace("state.bins", "state.from")
    assert bound(tmp_path, claim + COPY, MAPS).open == ("state.bins",)


def test_what_can_not_be_read_is_an_error_by_name(tmp_path, monkeypatch):
    with pytest.raises(BoundsError, match=r"memset\S* in a loop at engine\.cpp"):
        bound(tmp_path, "__builtin_memset(state.bins, n, 64 * sizeof(int32_t));", MAPS)
    with pytest.raises(BoundsError, match="a loop in it is not unrolled"):
        bound(tmp_path, "for (int32_t k = 0; k < n; ++k) { out[k] += i * k; }")
    monkeypatch.setenv("CLANG", "no-such-clang")
    with pytest.raises(BoundsError, match="no no-such-clang"):
        compiled({"engine.cpp": b""})
