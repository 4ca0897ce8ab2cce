"""The estimate: arrays, operators and ports of small sources worked out by hand, and what it finds of the engine."""

import pytest

from hls.estimate import arrays, fabric, known, operators, resources, sharing, values
from hls.lint import cpp

SOURCE = """
#include <cstdint>
static const int32_t kTable[4] = {{1, 2, 300, 4}};
struct Memory {{
  uint8_t wide[2048][4];
  int32_t cut[3][8];
  int8_t lane[2][96];
  int16_t small[32];
}};
struct State {{
  Memory memory;
  int32_t plain[1024];
}};
static State state;
inline int32_t Helper(int32_t a, int32_t b) {{ return a + b; }}
inline int32_t Narrow(int32_t a) {{ return a + 1; }}
struct Row {{
  int32_t tap[2];
}};
inline int32_t Take(const int32_t (&row)[2], int32_t at) {{ return row[at]; }}
inline int32_t Apart(int32_t a) {{
  #pragma HLS inline off
  return a + 1;
}}
extern "C" int32_t ddi_engine(const int32_t* in, int32_t n, int32_t at, int8_t byte, uint8_t other) {{
  #pragma HLS array_partition variable = state.memory.wide complete dim = 2
  #pragma HLS bind_storage variable = state.memory.wide type = ram_t2p impl = bram
  #pragma HLS array_partition variable = state.memory.cut complete dim = 0
  #pragma HLS array_partition variable = state.memory.lane complete dim = 1
  #pragma HLS array_reshape variable = state.memory.lane cyclic factor = 8 dim = 2
  int32_t sum = 0;
{body}
  return sum;
}}
"""

CYCLIC = "#pragma HLS array_partition variable = state.plain cyclic factor = 4\n"


def parsed(folder, body=""):
    (folder / "engine.cpp").write_text(SOURCE.format(body=body))
    unit = cpp.parse(folder / "engine.cpp", cpp.SYNTHESIS)
    assert not list(unit.diagnostics)
    return unit


def used(folder, body):
    """Resource → amount of the operators alone, less those of an empty body."""
    counts = []
    for text in ("", body):
        unit = parsed(folder, text)
        walk = operators.Walk(unit, arrays.arrays(unit, folder), folder).run()
        counts.append(walk)
    names = {name for walk in counts for _, name in walk.use}
    return {name: counts[1].use["engine", name] - counts[0].use["engine", name] for name in names}, counts[1]


def loop(body, unroll=4):
    """A pipelined loop around an unrolled one."""
    return f"""
Outer:
  for (int32_t i = 0; i < n; ++i) {{
    #pragma HLS loop_tripcount max = 100
    #pragma HLS pipeline II = 1
  Inner:
    for (int32_t j = 0; j < {unroll}; ++j) {{
      #pragma HLS unroll
      {body}
    }}
  }}
"""


def test_arrays_follow_their_pragmas(tmp_path):
    found = {array.path: array for array in arrays.arrays(parsed(tmp_path), tmp_path)}
    wide, lane = found["state.memory.wide"], found["state.memory.lane"]
    assert (wide.memories, wide.depth, wide.width, wide.bram18) == (4, 2048, 8, 4)  # 2K×9 each
    assert found["state.memory.cut"].ff == 3 * 8 * 32 and found["state.memory.cut"].bram18 == 0
    assert (lane.memories, lane.depth, lane.width) == (2, 12, 64)
    assert lane.place == "lutram" and lane.lut == 2 * 44  # 11 times four LUTs for 6 of the 64 bits
    assert found["state.memory.small"].place == "lutram"
    assert found["state.plain"].bram18 == 2 and found["state.plain"].unit == "engine"


def test_memories_in_luts_and_queues():
    assert [fabric.lutram(depth, 6) for depth in (4, 32, 33, 64)] == [4, 4, 8, 8]
    assert fabric.lutram(96, 6) == 2 * 8 + 3  # and a choice between two of 64
    assert fabric.queue(64, 64, 3)[0] == 3 * (2 * 64 + 3 * 7) and fabric.queue(64, 16, 1)[0] == 64 + 3 * 5


def test_block_rams_behind_one_another_are_chosen_between():
    deep = arrays.Array("state.maps", "tile_memory", 8, [6144, 64], [1, 64], [1, 1], storage={"type": "ram_t2p"})
    assert (deep.bram18, deep.lut) == (64 * 3, 64 * 2 * 8)  # three of 2K × 9: two ports of eight bits, one LUT each
    assert arrays.Array("state.maps", "tile_memory", 8, [4096, 64], [1, 64], [1, 1]).lut == 0  # two of 4K × 4
    assert arrays.Array("state.maps", "tile_memory", 8, [2048, 64], [1, 64], [1, 1]).lut == 0


@pytest.mark.parametrize(
    ("sign", "right", "lut"),
    [("<", 0, 0), (">=", 0, 0), ("<", 7, 8), (">", 0, 8), ("==", 7, 3), ("!=", 0, 3), ("==", None, 7)],
)
def test_comparisons(sign, right, lut):
    """A sign is there already; equality with a constant is a tree of LUTs of six inputs."""
    other = values.span(-(2**15), 2**15 - 1)
    right = other if right is None else values.one(right)
    assert fabric.price(sign, other, right, values.span(0, 1)) == (lut, 0)


@pytest.mark.parametrize(
    ("a", "b", "count"), [(8, 8, 1), (25, 18, 1), (18, 25, 1), (32, 16, 2), (32, 32, 4), (33, 17, 2)]
)
def test_dsp_counts(a, b, count):
    assert fabric.dsp(a, b) == count


def test_multiplexers_and_dividers():
    assert [fabric.multiplexer(m, 2) for m in (1, 2, 3, 4, 5, 8, 9, 12, 13, 16)] == [0, 1, 2, 2, 4, 4, 8, 8, 8, 8]
    assert fabric.multiplexer(32, 2) == 2 * (4 + 4) + 1
    assert fabric.multiplexer(17, 2) == 2 * 4 + 1  # the seventeenth needs no LUT but the last choice
    assert fabric.divider(32, 6, pipelined=False) == (7, 38)
    assert fabric.divider(32, 6, pipelined=True) == (32 * 7, 32 * 38)


def test_widths_of_values():
    assert [values.span(*ends).bits for ends in ((0, 255), (-128, 127), (-129, 0), (0, 0), (-128, 255))] == [
        8,
        8,
        9,
        1,
        9,
    ]


def test_products_are_counted_for_each_version(tmp_path):
    use, _ = used(tmp_path, loop("sum += in[j] * at;"))
    assert use["dsp"] == 4 * 4  # 32 × 32 bits in each of four copies
    use, _ = used(tmp_path, loop("sum += n * at;"))
    assert use["dsp"] == 4  # the same product in every copy: made once
    use, _ = used(tmp_path, loop("sum += in[j >> 1] * at;"))
    assert use["dsp"] == 2 * 4
    use, _ = used(tmp_path, loop("sum += byte * other;"))
    assert use.get("dsp", 0) == 0 and use["lut"] >= 64  # 8 × 8 bits in LUTs
    use, _ = used(tmp_path, loop("sum += in[j] * 8;"))
    assert use.get("dsp", 0) == 0


def test_products_may_stay_in_the_fabric(tmp_path):
    bound = """
    const int32_t product = byte * at;
    #pragma HLS bind_op variable = product op = mul impl = fabric
    sum = product;
"""
    use, _ = used(tmp_path, bound)
    assert use["lut"] == 8 * 32 and use.get("dsp", 0) == 0
    use, _ = used(tmp_path, bound.replace("fabric", "dsp"))
    assert use["dsp"] == fabric.dsp(8, 32)


@pytest.mark.parametrize(("shift", "bits"), [(0, 32), (15, 47), (16, 48), (17, 49)])
def test_sums_of_up_to_48_bits_may_be_a_dsp_s(tmp_path, shift, bits):
    """Behind its product; wider ones are made of LUTs, whatever a pragma says."""
    body = f"const int64_t wide = (int64_t(n) << {shift}) + (int64_t(at) << {shift});\n{{pragma}}\nsum = int32_t(wide);"
    plain, _ = used(tmp_path, body.format(pragma=""))
    bound, _ = used(tmp_path, body.format(pragma="#pragma HLS bind_op variable = wide op = add impl = dsp"))
    assert plain["lut"] == bits + 1  # and the carry
    assert bound.get("lut", 0) == (0 if bits <= 48 else bits + 1)
    assert bound.get("dsp", 0) == plain.get("dsp", 0) == 0  # the DSP is counted by its product
    other, _ = used(tmp_path, body.format(pragma="#pragma HLS bind_op variable = wide op = add impl = fabric"))
    assert other["lut"] == bits + 1


def test_copies_of_local_arrays_are_told_apart(tmp_path):
    """A choice from an array that each iteration has for itself is made in each; from one for all, once."""
    choice = fabric.multiplexer(2, 32)

    def luts(before, inside, index):
        text = loop(inside.format(index=index)).replace("Inner:", f"{before}\n  Inner:")
        return used(tmp_path, text)[0].get("lut", 0)

    def chosen(before, inside):
        return luts(before, inside, "at & 1") - luts(before, inside, "1")

    each = "int32_t local[2] = {{in[j], n}};"
    assert chosen("", each + "sum = local[{index}];") == 4 * choice
    assert chosen("int32_t local[2] = {n, at};", "sum = local[{index}];") == choice
    assert chosen("", each + "sum = Take(local, {index});") == 4 * choice  # by its name inside a function
    assert chosen("int32_t local[2] = {n, at};", "sum = Take(local, {index});") == choice
    rows = "Row rows[4];\nrows[0].tap[0] = n;"
    assert chosen(rows, "sum = rows[j].tap[{index}];") == 4 * choice  # four structures
    assert chosen(rows, "sum = rows[j >> 1].tap[{index}];") == 2 * choice
    assert chosen(rows, "sum = rows[2].tap[{index}];") == choice


def test_a_function_that_is_not_inlined_takes_what_its_types_hold(tmp_path):
    use, _ = used(tmp_path, "sum = Narrow(byte); sum = Narrow(at);")
    assert use["lut"] == 9  # the first call's
    use, _ = used(tmp_path, "sum = Apart(byte); sum = Apart(at);")
    assert use["lut"] == 32


def test_neighbours_in_cyclic_memories_need_no_choice(tmp_path):
    row = "sum = state.plain[{index}];"
    turned, walk = used(tmp_path, CYCLIC + loop(row.format(index="at * 4 + j")))
    plain, _ = used(tmp_path, CYCLIC + loop(row.format(index="at * 6 + j")))
    assert plain["lut"] - turned.get("lut", 0) >= 4 * fabric.multiplexer(4, 32)
    assert sharing.accesses(walk.ports, "state.plain") == (1, 0)


def test_bits_side_by_side_are_no_sum(tmp_path):
    for index, width in (("n * 8 + (at & 7)", 0), ("n * 8 + (at & 15)", 32)):
        use, _ = used(tmp_path, f"sum = {index};")
        assert use.get("lut", 0) == width, index


def test_elements_of_fields_have_known_ranges(tmp_path, monkeypatch):
    monkeypatch.setitem(known.KNOWN, "Memory.small", (0, 7))
    use, _ = used(tmp_path, loop("sum = state.memory.small[at] * state.memory.small[n];", unroll=1))
    assert use.get("dsp", 0) == 0  # 3 × 3 bits


def test_functions_are_shared_outside_pipelined_loops_only(tmp_path):
    once, _ = used(tmp_path, "sum = Helper(n, at); sum = Helper(at, n);")
    assert once["lut"] == 32
    copied, _ = used(tmp_path, loop("sum = Helper(in[j], at);"))
    bare, _ = used(tmp_path, loop("sum = in[j];"))
    assert copied["lut"] - bare["lut"] == 4 * 32


def test_indices_that_change_choose_between_registers(tmp_path):
    fixed, _ = used(tmp_path, loop("sum = state.memory.cut[1][j];"))
    moving, _ = used(tmp_path, loop("sum = state.memory.cut[1][(at + j) & 7];"))
    assert moving["lut"] - fixed["lut"] >= 4 * fabric.multiplexer(8, 32)


def test_ports_are_counted_where_addresses_differ(tmp_path):
    _, walk = used(tmp_path, loop("sum += state.plain[at + j] + state.plain[at];"))
    assert sharing.accesses(walk.ports, "state.plain") == (5, 0)
    _, walk = used(tmp_path, loop("state.memory.wide[at][j] = other;"))
    assert sharing.accesses(walk.ports, "state.memory.wide") == (0, 1)
    both = loop("sum += state.plain[at + j];") + loop("state.plain[at + j] = n;", unroll=3).replace("er:", "er2:")
    _, walk = used(tmp_path, both)
    assert sharing.accesses(walk.ports, "state.plain") == (0, 3)  # dearer than four reads


def test_what_stands_on_both_sides_of_a_branch_takes_turns(tmp_path):
    turns = "if (at > 3) { state.plain[n] = at; } else { sum += state.plain[at]; }"
    _, walk = used(tmp_path, loop(turns, unroll=1))
    assert sharing.accesses(walk.ports, "state.plain") == (0, 1)  # the write, which asks for more
    _, walk = used(tmp_path, loop("if (at > 3) { state.plain[n] = at; } sum += state.plain[at];", unroll=1))
    assert sharing.accesses(walk.ports, "state.plain") == (1, 1)


def test_neighbours_in_memories_side_by_side_are_told_apart(tmp_path):
    _, walk = used(tmp_path, loop("sum += state.memory.wide[n][(at & 1) * 2 + j];", unroll=2))
    assert sharing.accesses(walk.ports, "state.memory.wide") == (1, 0)  # an even one and an odd one
    _, walk = used(tmp_path, loop("sum += state.memory.wide[n][(at & 1) + j];", unroll=2))
    assert sharing.accesses(walk.ports, "state.memory.wide") == (2, 0)
    assert sharing.meet((("any"),), (3,)) and sharing.meet(((1, 2),), (3,)) and not sharing.meet(((1, 2),), (4,))
    assert sharing.meet(((1, 2),), ((3, 4),)) and not sharing.meet(((1, 2),), ((2, 4),))


def test_comparisons_are_made_once_for_each_version(tmp_path):
    """What depends on an unrolled loop's counter, through a comparison or a bit, differs in its iterations."""
    for text in ("in[at] > j", "(in[at] | (1 << j))"):
        once, _ = used(tmp_path, loop(f"sum += {text} ? n : at;", unroll=1))
        four, _ = used(tmp_path, loop(f"sum += {text} ? n : at;", unroll=4))
        assert four["lut"] >= 3 * once["lut"], text


def test_registers_choose_between_statements_and_ports_between_loops(tmp_path):
    one = loop("state.memory.cut[1][j] = at;", unroll=8)
    plain, _ = used(tmp_path, one)
    both, walk = used(tmp_path, one + loop("state.memory.cut[1][j] = n;", unroll=4).replace("er:", "er2:"))
    assert walk.largest["engine", "lut", "state.memory.cut", "2 statements write it"] == 0  # of loops apart
    twice, _ = used(tmp_path, loop("state.memory.cut[1][j] = at; if (n > 3) { state.memory.cut[1][j & 3] = n; }", 8))
    reset, _ = used(tmp_path, loop("state.memory.cut[1][j] = at; if (n > 3) { state.memory.cut[1][j & 3] = 0; }", 8))
    assert twice["lut"] - reset["lut"] == 4 * fabric.multiplexer(2, 32)  # a constant is a reset
    shared, walk = used(
        tmp_path, loop("state.plain[at] = n;", 1) + loop("sum += state.plain[n];", 1).replace("er:", "er2:")
    )
    assert walk.largest["engine", "lut", "state.plain", "loops share its ports"] == fabric.multiplexer(2, 10)
    assert both["lut"] >= plain["lut"] and shared["lut"] > 0


def test_a_sum_takes_in_a_choice_of_three_numbers_and_none(tmp_path):
    """By two bits: with the other number's six inputs. yosys maps it to as many LUTs as the sum has bits."""
    four = "(at > 1 ? (n > 1 ? in[1] : in[2]) : n > 1 ? in[3] : {last})"
    taken, _ = used(tmp_path, f"sum = sum + {four.format(last='0')};")
    left, _ = used(tmp_path, f"sum = sum + {four.format(last='in[4]')};")  # seven inputs
    assert left["lut"] - taken["lut"] == fabric.multiplexer(4, 32)
    twice, _ = used(tmp_path, f"sum = {four.format(last='0')} + {four.format(last='0')};")
    assert twice["lut"] - taken["lut"] >= fabric.multiplexer(4, 32)  # one of two


def test_tables_are_block_ram_for_two_readers(tmp_path):
    _, walk = used(tmp_path, loop("sum += kTable[(at + j) & 3];"))
    assert walk.readers["engine", "kTable"] == 4 and walk.tables["kTable"] == 1


@pytest.fixture(scope="module")
def engine():
    return resources.estimate()


def test_the_engine_is_found_whole(engine):
    taken = {path: amount for amount, _, resource, path, _ in engine.largest if resource == "bram18"}
    lanes = [amount for path, amount in taken.items() if path.endswith((".lanes.even", ".lanes.odd"))]
    assert lanes == [16, 16]  # two banks of eight lanes each, 512 words of 32 bits
    # 384 KB in memories of 6144 bytes, and vector memory: 16 KB in banks that its readers share
    assert engine.use["tile_memory"]["bram18"] == 192 + 8
    assert engine.use["chip/layer"]["dsp"] >= 192
    assert engine.total["bram18"] == sum(use.get("bram18", 0) for use in engine.use.values())


def test_known_ranges_name_fields_and_functions_that_exist():
    unit = cpp.parse(cpp.SOURCES / "engine.cpp", cpp.SYNTHESIS)
    fields = {
        f"{cursor.semantic_parent.spelling}.{cursor.spelling}"
        for cursor, _ in cpp.walk(unit)
        if cursor.kind.name == "FIELD_DECL"
    }
    functions = {cursor.spelling for cursor, _ in cpp.walk(unit) if cursor.kind.name in cpp.FUNCTIONS}
    assert set(known.KNOWN) <= fields and set(known.RETURNED) <= functions
