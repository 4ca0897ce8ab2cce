"""The rules for synthesizable C++: each catches its bad example, and lets the good one pass."""

from pathlib import Path

import pytest

from hls.lint import rules

SHIM = """\
#pragma once
#ifdef __SYNTHESIS__
#define DDI_STATE static
#else
#include <cstring>
{}#define DDI_STATE static thread_local
#endif
"""
BODY = """\
struct Memory {
  int32_t bank[4][8];
  int32_t count;
};
DDI_STATE Memory memory;
void F(int32_t n, int32_t* port) {
  int32_t a[4];
  a[0] = n;
  {function}
All:
  for (int32_t i = 0; i < 4; ++i) {
    {loop}
    a[i] = port[i];
    {behind}
  }
}
"""
# (place, what a compiler would ignore, what it takes)
PRAGMAS = [
    ("loop", "pipelin II = 1", "pipeline II = 1"),
    ("loop", "pipeline I = 1", "pipeline II = 2 rewind"),
    ("loop", "pipeline II =", "pipeline off"),
    ("loop", "unroll by 4", "unroll factor = 2 * (1 + 1)"),
    ("loop", "unroll factor = n", "unroll factor = 2"),
    ("loop", "loop_tripcount min = 4", "loop_tripcount min = 1 max = 4"),
    ("loop", "inline", "loop_flatten off"),
    ("behind", "unroll", "dependence variable = a inter false"),
    ("function", "unroll", "array_partition variable = a complete dim = 1"),
    ("function", "array_partition variable = b complete",
     "array_partition variable = memory.bank cyclic factor = 2 dim = 2"),
    ("function", "array_partition variable = memory.bank complete dim = 3",
     "array_partition variable = memory.bank complete dim = 0"),
    ("function", "array_partition variable = memory.banks complete",
     "bind_storage variable = memory.bank type = ram_t2p impl = bram"),
    ("function", "array_partition variable = memory.count complete", "aggregate variable = memory"),
    ("function", "array_partition complete", "array_partition variable = a type = block factor = 2"),
    ("function", "bind_storage variable = a type = ram_3p", "bind_storage variable = a type = ram_2p"),
    ("function", "bind_op variable = a op = div", "bind_op variable = a op = mul impl = dsp latency = 3"),
    ("function", "interface m_axi port = other", "stable variable = n"),
    ("function", "occurrence", "dependence variable = port inter distance = 2 true"),
]  # fmt: skip


def twins():
    """(rule, bad source, good source) from rule_twins.txt."""
    for block in (Path(__file__).parent / "rule_twins.txt").read_text().split("\n//// ")[1:]:
        if not block.startswith("instead"):
            rule, bad = block.split("\n", 1)
        else:
            yield rule, bad, block.split("\n", 1)[1]


def check(folder, source, shim=""):
    """Rules that a source breaks, as an engine.cpp beside a shim."""
    (folder / "shim.hpp").write_text(SHIM.format(shim))
    (folder / "engine.cpp").write_text(f'#include <cstdint>\n\n#include "shim.hpp"\n\n{source}\n')
    return rules.check(folder)


@pytest.mark.parametrize(("rule", "bad", "good"), list(twins()))
def test_each_rule_catches_its_bad_example(tmp_path, rule, bad, good):
    assert rule in {each.rule for each in check(tmp_path, bad)}
    assert check(tmp_path, good) == []


@pytest.mark.parametrize(("place", "bad", "good"), PRAGMAS)
def test_pragmas_that_a_compiler_would_ignore(tmp_path, place, bad, good):
    for text, expected in ((bad, {"pragma"}), (good, set())):
        source = BODY
        for each in ("function", "loop", "behind"):
            source = source.replace("{" + each + "}", f"#pragma HLS {text}" if each == place else "")
        assert {each.rule for each in check(tmp_path, source)} == expected


@pytest.mark.parametrize(("line", "expected"), [
    ("#pragma HLS inline", {"pragma"}), ("#pragma GCC ivdep", {"pragma"}), ("#pragma once", set()),
    ("void F() {\n  #pragma HLS inline\n}", set()), ('void F() {\n  _Pragma("HLS inline")\n}', {"pragma"}),
    ("void F(int32_t* p) {\n  #pragma HLS interface \\\n      m_axi port = p\n}", set()),
    ("void F(int32_t* p) {\n  #pragma HLS interface \\\n      m_axi port = q\n}", {"pragma"}),
])  # fmt: skip
def test_where_a_pragma_stands(tmp_path, line, expected):
    assert {each.rule for each in check(tmp_path, line)} == expected


def test_a_label_twice_in_a_function(tmp_path):
    loop = "All:\n  for (int32_t i = 0; i < 4; ++i) {\n  }\n"
    assert "label" in {each.rule for each in check(tmp_path, f"void F() {{\n{loop}{loop}}}")}
    assert check(tmp_path, f"void F() {{\n{loop}}}\nvoid G() {{\n{loop}}}") == []


def test_the_shim_alone_may_use_the_library_and_only_for_the_co_simulation(tmp_path):
    copy = "inline void Copy(int32_t* to, const int32_t* from) { std::memcpy(to, from, 4); }\n"
    assert check(tmp_path, "", shim=copy) == []
    (tmp_path / "other.hpp").write_text(f"#pragma once\n#include <cstring>\n#include <cstdint>\n{copy}")
    found = rules.check(tmp_path)
    assert {(each.path.name, each.rule) for each in found} == {("other.hpp", "library")}
    (tmp_path / "cosim.cpp").write_text("#include <vector>\nstd::vector<int> all;\n")
    assert rules.check(tmp_path) == found


def test_folders_are_checked_and_may_include_each_other(tmp_path):
    (tmp_path / "chip").mkdir()
    (tmp_path / "chip" / "sum.hpp").write_text('#include <vector>\n#include "../shim.hpp"\nfloat F();\n')
    assert [each.rule for each in check(tmp_path, '#include "chip/sum.hpp"')] == ["library", "float"]
    (tmp_path / "chip" / "sum.hpp").write_text('#include "../shim.hpp"\nint32_t F();\n')
    assert rules.check(tmp_path) == []
    (tmp_path / "chip" / "alone.hpp").write_text("float G();\n")  # that nothing includes
    assert [each.rule for each in rules.check(tmp_path)] == ["float"]


def test_both_views_are_checked(tmp_path):
    (tmp_path / "shim.hpp").write_text("#ifdef __SYNTHESIS__\n#define DDI_CHIP\n#endif\n")
    source = '#include "shim.hpp"\n#ifdef DDI_CHIP\nfloat F();\n#else\ndouble G();\n#endif\n'
    (tmp_path / "engine.cpp").write_text(source)
    assert [each.line for each in rules.check(tmp_path)] == [3, 5]


def test_what_the_co_simulation_has_for_itself_stays_out_of_synthesis(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "sum.hpp").write_text(
        "#include <vector>\ninline float Sum(std::vector<float>& all) { return all[0]; }\n"
    )
    guarded = '#ifndef DDI_CHIP\n#include "cpu/sum.hpp"\n#endif'
    assert {each.rule for each in check(tmp_path, guarded)} == {"library"}
    (tmp_path / "shim.hpp").write_text("#ifdef __SYNTHESIS__\n#define DDI_CHIP\n#endif\n")
    assert rules.check(tmp_path) == []


def test_the_engine_keeps_the_rules():
    violations = rules.check()
    assert not violations, "\n".join(map(str, violations))


def test_the_command(tmp_path, capsys):
    check(tmp_path, "float F();")
    assert rules.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}/engine.cpp:5: float: F returns float: use fixed point\n"
    assert rules.main([str(tmp_path / "none")]) == 2
    assert "no C++ sources" in capsys.readouterr().err
