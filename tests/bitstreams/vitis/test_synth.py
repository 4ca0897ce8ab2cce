"""The whole flow with stand-ins of the vendor's tools: what is built, what fails a build, what is said without them."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")

from bitstreams import design, sources, vectors
from bitstreams.vitis import commands, logs, synth, tools
from bitstreams.vitis.tools import CLASSIC, GENERATIONS, UNIFIED
from hls import isa
from hls.errors import UserError
from host.board import overlay
from tests.bitstreams import dry_run, samples
from tests.bitstreams.standin_tools import REGISTERS, Outputs, install, save

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt-get install tcl")
VERSION = {CLASSIC: "2022.2", UNIFIED: "2025.1"}


class Bench:
    """A machine with stand-ins of the tools: run() is the command, what it printed is in .out and .err."""

    def __init__(self, folder, capsys, generation):
        self.folder, self.capsys, self.generation = folder, capsys, generation
        self.build, self.target = folder / "build", folder / "bitstreams"
        self.work = self.build / "zedboard-large"  # the shipped engine is this point of the board's
        (folder / "bin").mkdir()
        self.leave()
        programs = ["vivado", *GENERATIONS[generation][0]]
        install(folder / "bin", programs, VERSION[generation], folder / "outputs")

    def leave(self, **outputs):
        """Have the tools leave these reports behind from now on."""
        save(self.folder / "outputs", Outputs(**outputs))

    def run(self, *arguments, board="zedboard"):
        code = synth.main([board, "--build", str(self.build), "--out", str(self.target), "--jobs", "2", *arguments])
        self.out, self.err = self.capsys.readouterr()
        return code

    def results(self):
        return json.loads((self.work / "results.json").read_text())["stages"]


@pytest.fixture
def bench(tmp_path, capsys, monkeypatch, request):
    monkeypatch.setattr(vectors, "batch", dry_run.batch)
    found = Bench(tmp_path, capsys, getattr(request, "param", CLASSIC))
    everything = tools.look
    monkeypatch.setattr(synth, "look", lambda: everything({"PATH": str(tmp_path / "bin")}, ()))
    return found


@pytest.mark.parametrize("bench", GENERATIONS, indirect=True)
def test_all_stages_make_a_bitstream_that_the_host_takes(bench):
    assert bench.run() == 0, bench.err
    built = overlay.find(bench.target / "zedboard", "zedboard")
    assert built.clock_hz == 142857000 and built.bit.name == "ddi.bit"
    facts = json.loads((bench.target / "zedboard" / "build.json").read_text())
    assert facts["isa_hash"] == isa.HASH and facts["engine"]["OUT_LANES"] == isa.OUT_LANES
    assert facts["engine"]["ROW_TAPS"] == isa.ROW_TAPS and facts["point"] == "large"
    assert facts["slack"] == {"setup_ns": 0.112, "hold_ns": 0.019, "pulse_ns": 2.25}
    assert facts["utilisation"] == samples.PLACED
    assert set(facts["tools"].values()) == {VERSION[bench.generation]}
    assert facts["simulated"] == {"csim": True, "cosim": True}
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=synth.ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert facts["commit"].removesuffix("-changed") == head.strip()
    assert list(bench.results()) == ["csim", "hls", "cosim", "impl"]
    assert bench.results()["cosim"]["cycles"] == 272379
    files = {"ddi.bit", "ddi.hwh", "build.json", *commands.REPORTS}
    assert {path.name for path in (bench.target / "zedboard").iterdir()} == files
    assert [path.name for path in bench.target.iterdir()] == ["zedboard"]


@pytest.mark.parametrize("board", design.board_names())
def test_every_board_is_built_by_the_same_command(bench, board):
    part = design.read(board)["part"]
    bench.leave(csynth=samples.csynth(part=part.replace("clg", "-clg").replace("-1", "") + "-1"))
    assert bench.run(board=board) == 0, bench.err
    assert overlay.find(bench.target / board, board).part == part


def test_stages_run_one_by_one_on_what_was_made_before(bench):
    assert bench.run("--stage", "impl") == 1
    assert "impl needs what hls makes of these sources: make synth BOARD=zedboard POINT=large STAGE=hls" in bench.err
    assert bench.run("--stage", "hls") == 0 and bench.run("--stage", "cosim") == 0
    assert list(bench.results()) == ["hls", "cosim"]
    assert not bench.target.exists()
    assert bench.run("--stage", "impl", "--clock-mhz", "100") == 1, "another clock is another synthesis"
    assert bench.run("--stage", "impl") == 0, bench.err
    assert bench.run("--stage", "hls") == 0
    assert list(bench.results()) == ["hls"], "what was made of the older RTL no longer counts"


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"csim": "image 0, word 4 of its record: 3, expected 4\nFAIL\n"}, "C simulation failed: image 0, word 4"),
        ({"csim": "nothing\n"}, "no PASS in"),
        ({"csynth": samples.csynth(part="xc7z010-clg400-1")}, "csynth.xml is of ddi_engine for xc7z010clg4001"),
        ({"csynth": samples.csynth(widths={**samples.default_widths(), "side": 32})}, "side is 32 bits wide"),
        ({"csynth": samples.csynth(widths={})}, "is not there in the IP"),
        ({"csynth": samples.csynth(used={**samples.ESTIMATED, "DSP": 221})}, "221 DSP, the chip has 220"),
        ({"csynth": samples.csynth(used={**samples.ESTIMATED, "BRAM_18K": 300})}, "300 BRAM18, the chip has 280"),
        ({"header": samples.header(leave_out=("results",))}, "register results is missing"),
        ({"leave_out": (REGISTERS,)}, "has no driver header"),
        ({"cosim": samples.cosim("Fail")}, "C/RTL co-simulation failed"),
        ({"timing": samples.timing(setup=-0.001, failing=1)}, "(setup) is -0.001 ns at 142.857 MHz: give CLOCK_MHZ"),
        ({"timing": samples.timing(hold=-0.2)}, "slack (hold) is -0.2 ns"),
        ({"timing": samples.timing(pulse=-1)}, "slack (pulse) is -1 ns"),
        ({"timing": samples.timing(failing=3)}, "3 endpoints fail"),
        ({"timing": samples.timing(clock_mhz=100)}, "timed at 100 MHz, asked for were 142.857"),
        ({"utilization": samples.utilization({"lut": 53201})}, "53201 LUT placed, the board's file has 53200"),
        ({"utilization": samples.utilization({"bram36": 140.5})}, "140.5 BRAM36 placed"),
        ({"base": "0x43D00000"}, "ddi_engine_0 is at 0x43D00000 to 0x43D0FFFF in the .hwh"),
        ({"leave_out": ("ddi.xsa",)}, "impl ended without an error, and without"),
        ({"leave_out": ("utilization.rpt",)}, "utilization.rpt: see impl.log"),
        ({"leave_out": ("syn/report/csynth.xml",)}, "csynth.xml: see hls.log"),
    ],
)  # fmt: skip
def test_what_fails_a_build(bench, outputs, expected):
    bench.leave()
    for path in sorted((bench.folder / "outputs").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    bench.leave(**outputs)
    assert bench.run() == 1
    assert expected in bench.err and bench.err.count("\n") == 1
    assert not bench.target.exists(), "nothing half-built"


def test_a_build_that_fails_leaves_the_one_before_alone(bench):
    assert bench.run() == 0
    before = {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}
    bench.leave(timing=samples.timing(setup=-1))
    assert bench.run("--stage", "impl") == 1
    assert before == {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}


def test_an_interrupt_while_it_is_put_in_place_leaves_the_one_before(bench, monkeypatch):
    assert bench.run() == 0
    before = {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}
    rename, calls = Path.rename, []

    def second_interrupted(self, target):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_interrupted)
    assert bench.run("--stage", "impl") == 130
    assert [path.name for path in bench.target.iterdir()] == ["zedboard"]
    assert before == {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}


def test_a_tool_that_stops_is_told_with_its_own_error(bench, monkeypatch):
    monkeypatch.setenv("RECORDER_PROGRESS", "42%")
    assert bench.run() == 1
    assert "impl failed (vivado, exit code 1): ERROR: [vivado 1-1] ERROR: implementation stopped" in bench.err
    assert "vivado.log" not in bench.err and "impl.log)" in bench.err


def test_an_interrupted_build_keeps_the_stages_that_were_done(bench, monkeypatch):
    original = synth.run_stage

    def until_cosim(stage, job):
        if stage == "cosim":
            raise KeyboardInterrupt
        original(stage, job)

    monkeypatch.setattr(synth, "run_stage", until_cosim)
    assert bench.run() == 130
    assert "interrupted" in bench.err and list(bench.results()) == ["csim", "hls"]


def test_estimates_of_hls_are_told_and_not_judged(bench):
    assert bench.run("--stage", "hls") == 0
    assert "hls   note: HLS estimates 61,234 LUT of 53,200: placement decides" in bench.out
    bench.leave(csynth=samples.csynth(estimated_ns=7.4))
    assert bench.run("--stage", "hls") == 0
    assert "note: HLS estimates 7.4 ns, the clock's period is 7 ns" in bench.out


def test_without_tools_one_screen_says_what_is_missing(bench, monkeypatch):
    monkeypatch.setattr(synth, "look", lambda: {})
    assert bench.run() == 2
    assert "Looked for" in bench.out and "make synth-report" in bench.out and bench.err == ""
    assert not bench.build.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--clock-mhz", "400"], "expected a number from 10 to 250"),
        (["--clock-mhz", "nan"], "expected a number from 10 to 250"),
        (["--jobs", "0"], "expected a whole number from 1 to 256"),
        (["--stage", "synth"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_one_line(bench, arguments, expected):
    with pytest.raises(SystemExit) as stop:
        bench.run(*arguments)
    err = bench.capsys.readouterr().err
    assert stop.value.code == 2 and expected in err and err.count("\n") == 1


def test_an_unknown_board_is_told_with_those_there_are(bench):
    assert bench.run(board="nexys") == 2
    assert f"no board 'nexys': expected one of {', '.join(design.board_names())}" in bench.err


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_dry_run_writes_everything_and_runs_nothing(bench, generation, monkeypatch):
    monkeypatch.setattr(synth, "look", lambda: pytest.fail("a dry run needs no tool"))
    assert bench.run("--dry-run", "--generation", generation) == 0
    assert "vivado -mode batch" in bench.out and ("vitis-run" in bench.out) == (generation == UNIFIED)
    folder = bench.work
    assert {"parameters.tcl", "hls.cfg", "src", "vectors", "testbench.cpp"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "results.json").exists()


def test_a_folder_that_tcl_would_misread_is_refused(bench):
    """As is one that they part at a space, or do not open: before anything is written."""
    for name in ("my[build]", "my build", "Entwürfe", "my\tbuild"):
        bench.build = bench.folder / name
        for options in ([], ["--dry-run"]):
            assert bench.run(*options) == 2
            assert "which the tools do not bear in a path: use another folder" in bench.err
            assert bench.err.count("\n") == 1 and not bench.build.exists()


# ------------------------------------------------------------------------------------------------------- stale results
def stand_still(bench, said, programs=("vitis_hls", "vivado")):
    """Have the tools say something, write nothing, and end as if all were well."""
    for name in programs:
        path = bench.folder / "bin" / name
        kept = path.read_text().rsplit("exec ", 1)[0]
        path.write_text(f"{kept}printf '%s\\n' {shlex.quote(said)}\nexit 0\n")


@pytest.fixture
def changed_sources(tmp_path, monkeypatch):
    """The engine's sources with a comment more."""
    folder = shutil.copytree(sources.SOURCES, tmp_path / "sources")
    path = folder / sources.MAIN
    path.write_text(path.read_text() + "// a comment\n")

    def change():
        monkeypatch.setattr(sources, "SOURCES", folder)
        for function in (sources.read_top, sources.headers, sources.digest):
            monkeypatch.setattr(function, "__defaults__", (folder, *(function.__defaults__ or ())[1:]))
        monkeypatch.setattr(sources.write, "__defaults__", (folder,))

    return change


@pytest.mark.parametrize("said", ["ERROR: [HLS 200-70] cannot open the license", "INFO: nothing to do", ""])
def test_a_bitstream_of_other_sources_is_not_taken_for_a_new_one(bench, changed_sources, said):
    assert bench.run() == 0, bench.err
    before = {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}
    changed_sources()
    stand_still(bench, said)
    assert bench.run() == 1 and "built" not in bench.out
    expected = said if said.startswith("ERROR") else "csim ended without an error, and without"
    assert expected in bench.err and bench.err.count("\n") == 1
    assert before == {path.name: path.read_bytes() for path in (bench.target / "zedboard").iterdir()}
    assert bench.results() == {}, "nothing is done with these sources"
    assert bench.run("--stage", "impl") == 1 and "impl needs what hls makes of these sources" in bench.err


@pytest.mark.parametrize("stage", ["csim", "hls", "cosim", "impl"])
def test_each_stage_starts_without_what_an_earlier_run_left(bench, stage):
    assert bench.run() == 0, bench.err
    stand_still(bench, "")
    assert bench.run("--stage", stage) == 1
    assert f"{stage} ended without an error, and without" in bench.err and stage not in bench.results()


def test_a_report_that_is_older_than_its_stage_is_of_another_one(bench, monkeypatch):
    original = synth._run

    def from_elsewhere(step, job):
        original(step, job)
        for path in job.folder.glob("*.rpt"):
            os.utime(path, (1, 1))

    monkeypatch.setattr(synth, "_run", from_elsewhere)
    assert bench.run() == 1
    assert "timing_summary.rpt is older than this run of impl" in bench.err and not bench.target.exists()


def test_what_the_logs_say_counts_more_than_the_exit_code(tmp_path):
    log = tmp_path / "impl.log"
    warning = "CRITICAL WARNING: [BD 41-1356] Address block </ps/DDR> is not mapped"
    benign = "CRITICAL WARNING: [PSU-1]  Parameter : PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_0 has negative value -0.073"
    log.write_text(f"INFO: 0 errors\n{benign}\n{benign}\nWARNING: ERROR is a word\n")
    assert logs.check([log]) == [benign]
    log.write_text(f"{warning}\n")
    with pytest.raises(UserError, match=r"is not mapped .* take it by --accept 'BD 41-1356'"):
        logs.check([log])
    assert logs.check([log], accepted=["BD 41-1356"]) == [warning]
    for line in ("ERROR: [Common 17-69] Command failed", "  FATAL_ERROR: out of memory"):
        log.write_text(f"{benign}\n{line}\n")
        with pytest.raises(UserError, match="though its tool ended as if all were well"):
            logs.check([log])


def test_an_accepted_warning_stands_in_the_build(bench):
    said = "CRITICAL WARNING: [BD 41-1356] a block is not mapped"
    path = bench.folder / "bin" / "vivado"
    text = path.read_text()
    path.write_text(text.replace("exec ", f"echo '{said}'\nexec "))
    assert bench.run() == 1 and "take it by --accept 'BD 41-1356'" in bench.err
    assert bench.run("--accept", "BD 41-1356") == 0, bench.err
    facts = json.loads((bench.target / "zedboard" / "build.json").read_text())
    assert facts["critical_warnings"] == [said] and f"note: {said}" in bench.out


# -------------------------------------------------------------------------------------------------- locale and signals
def test_the_tools_run_in_the_c_locale(bench, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LC_NUMERIC", "de_DE.UTF-8")
    path = bench.folder / "bin" / "vitis_hls"
    path.write_text(path.read_text().replace("exec ", "echo locale $LC_ALL\nexec "))
    assert bench.run("--stage", "csim") == 0, bench.err
    assert "locale C\n" in (bench.work / "csim.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_tools_with_all_they_started(bench, number):
    path = bench.folder / "bin" / "vitis_hls"
    pid = bench.folder / "pid"
    path.write_text(path.read_text().rsplit("exec ", 1)[0] + f"sleep 60 & echo $! > {pid}; wait\n")
    timer = threading.Timer(0, lambda: (_until(lambda: pid.exists() and pid.read_text()), os.kill(os.getpid(), number)))
    timer.start()
    assert bench.run("--stage", "csim") == 130
    timer.join()
    assert "interrupted; its tools were ended" in bench.err
    _until(lambda: not Path(f"/proc/{pid.read_text().strip()}").exists())


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
