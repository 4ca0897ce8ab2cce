"""Bounds against what vendor's tools have reported of loops like these, as their manuals and a textbook print it.

The loops are written anew. UG1399: Vitis HLS user guide; UG1448: its messages; pp4fpgas: R. Kastner, J. Matai,
S. Neuendorffer, Parallel Programming for FPGAs (2018), chapter "Prefix Sum and Histogram", Vivado HLS on a Zynq.
"""

from dataclasses import dataclass

import pytest

from tests.hls.bounds.kernels import bound, needs_clang, unrolled


@dataclass(frozen=True)
class Report:
    """A loop, and the II that was reported of it."""

    source: str
    ii: int
    body: str
    state: str
    before: str = ""
    after: str = "return 0;"
    pragmas: tuple = ()


HISTOGRAM = """
    const int32_t value = state.values[i & 1023] & 255;
    if (last == value) {
      count += 1;
    } else {
      state.bins[last] = count;
      count = state.bins[value] + 1;
    }
    last = value;"""
HISTOGRAM_STATE = "int32_t values[1024]; int32_t bins[256];"
HISTOGRAM_BEFORE = "int32_t count = 0; int32_t last = n & 255;"

REPORTS = {
    "three_reads": Report(
        "UG1399, Array Accesses and Performance, first example: final II 2",
        2,
        "sum += state.numbers[i + 2] + state.numbers[i + 1] + state.numbers[i];",
        "int32_t numbers[1024];",
        "int32_t sum = 0;",
        "return sum;",
    ),
    "one_read": Report(
        "UG1399, Array Accesses and Performance, second example: one read an iteration, II 1",
        1,
        "const int32_t fresh = state.numbers[i + 2]; sum += fresh + one + two; two = one; one = fresh;",
        "int32_t numbers[1024];",
        "int32_t sum = 0; int32_t one = n; int32_t two = n + 1;",
        "return sum;",
    ),
    "false_dependence": Report(
        "UG1399, Removing False Dependencies: a read and a write that may meet for all the tool knows, II 2",
        2,
        HISTOGRAM,
        HISTOGRAM_STATE,
        HISTOGRAM_BEFORE,
    ),
    "false_dependence_claimed": Report(
        "UG1399, Removing False Dependencies: the same with a dependence pragma, II 1",
        1,
        "#pragma HLS dependence variable = state.bins type = intra direction = RAW dependent = false\n" + HISTOGRAM,
        HISTOGRAM_STATE,
        HISTOGRAM_BEFORE,
    ),
    "one_port_two_stages": Report(
        "UG1448, HLS 200-885: two memories of one port, each read at the first and the second stage, II 2",
        2,
        """
    int32_t found = 0;
    if ((state.choice[i & 1023] & 1) != 0) {
      found = state.second[state.first[i & 1023] & 1023];
    } else {
      found = state.first[state.second[i & 1023] & 1023];
    }
    out[i] = found;""",
        "int32_t choice[1024]; int32_t first[1024]; int32_t second[1024];",
        pragmas=(
            "bind_storage variable = state.first type = ram_1p impl = bram",
            "bind_storage variable = state.second type = ram_1p impl = bram",
        ),
    ),
    "four_writes": Report(
        "UG1448, HLS 200-448: four writes of a memory of two ports, lower bound of II 2",
        2,
        unrolled("Writes", 4, "state.copy[4 * i + k] = in[i] + k;"),
        "int32_t copy[4096];",
    ),
    "prefix_sum": Report(
        "pp4fpgas, prefixsumBO: the sum goes through the memory, II 2",
        2,
        "state.sums[i + 1] = state.sums[i] + in[i];",
        "int32_t sums[1025];",
    ),
    "prefix_sum_in_register": Report(
        "pp4fpgas, prefixsum_optimized: the sum stays in a register, II 1",
        1,
        "sum += in[i]; state.sums[i] = sum;",
        "int32_t sums[1024];",
        "int32_t sum = 0;",
    ),
    "histogram": Report(
        "pp4fpgas, histogramSW: read, add one, write, at an address of the input, II 2",
        2,
        "state.bins[in[i] & 255] += 1;",
        "int32_t bins[256];",
    ),
    "histogram_distance_2": Report(
        "pp4fpgas, histogram_dependence: the same where neighbours of the input differ, distance 2, II 1",
        1,
        "#pragma HLS dependence variable = state.bins type = inter direction = RAW distance = 2 dependent = true\n"
        "state.bins[in[i] & 255] += 1;",
        "int32_t bins[256];",
    ),
    "histogram_in_registers": Report(
        "pp4fpgas, histogram_partitioned: an array cut into registers has no such recurrence, II 1",
        1,
        "state.bins[in[i] & 15] += 1;",
        "int32_t bins[16];",
        pragmas=("array_partition variable = state.bins complete",),
    ),
}


@needs_clang
@pytest.mark.parametrize("name", REPORTS)
def test_least_ii_is_the_reported_one(name, tmp_path):
    report = REPORTS[name]
    found = bound(tmp_path, report.body, report.state, report.pragmas, report.before, report.after)
    assert found.ii == report.ii, (report.source, found)
